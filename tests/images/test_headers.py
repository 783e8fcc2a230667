import struct
from typing import Any

import numpy as np
import pytest
from image_encoders import (
    QUARTERS,
    WHITE,
    encode,
    exif,
    form,
    four_quarters,
    long_text_chunks,
    png,
    png_that_claims,
    tiff,
)
from PIL import Image

from openalign.files.states import FetchState
from openalign.images.headers import (
    ImageError,
    ImageFault,
    decoder_errors,
    open_header,
    orientation_of,
    read_size,
)
from openalign.images.signatures import SIGNATURE_BYTES
from openalign.images.stored import store


def test_every_fault_is_a_state_of_fetch() -> None:
    assert {fault.value for fault in ImageFault} == {
        FetchState.NOT_AN_IMAGE.value,
        FetchState.UNDECODED_FORMAT.value,
        FetchState.TOO_MANY_PIXELS.value,
        FetchState.DECODE_FAILURE.value,
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_the_first_bytes_tell_the_size(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), kind)

    assert read_size(content[:2000]) == (400, 300)
    assert read_size(content) == (400, 300)


def test_too_few_bytes_tell_nothing_yet() -> None:
    content = encode(four_quarters())

    assert read_size(b"") is None
    assert read_size(content[:3]) is None
    assert read_size(content[:512]) is None
    assert read_size(b"<" * (SIGNATURE_BYTES - 1)) is None
    with pytest.raises(ImageError, match="no image"):
        read_size(b"<" * SIGNATURE_BYTES)


@pytest.mark.parametrize(
    ("orientation", "expected"), [(1, (48, 32)), (4, (48, 32)), (5, (32, 48)), (8, (32, 48))]
)
def test_the_size_is_that_of_the_upright_image(orientation: int, expected: tuple[int, int]) -> None:
    assert read_size(encode(four_quarters((48, 32)), exif=exif(orientation))) == expected


def test_the_size_of_a_decompression_bomb_is_told() -> None:
    assert read_size(png_that_claims(50_000, 50_000)) == (50_000, 50_000)
    gif = b"GIF89a" + struct.pack("<HHBBB", 50_000, 50_000, 0, 0, 0)
    with pytest.raises(ImageError) as caught:
        read_size(gif + b"," + bytes(600))
    assert caught.value.reason is ImageFault.TOO_MANY_PIXELS


def test_the_size_of_a_png_stands_before_its_texts() -> None:
    long = [(b"tEXt", b"Comment\0" + bytes(2_000_000)), *long_text_chunks()]
    content = png(QUARTERS, depth=8, color_type=2, chunks=long)

    assert read_size(content[:32]) is None
    assert read_size(content[:33]) == (48, 32)


def test_a_png_whose_first_chunk_is_damaged_tells_no_size() -> None:
    content = png(QUARTERS, depth=8, color_type=2)
    wrong = content[:29] + bytes([content[29] ^ 1]) + content[30:]

    assert read_size(wrong) is None


@pytest.mark.parametrize("size", [(1, 1), (400, 300), (16_383, 2)])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"quality": 80}, id="lossy"),
        pytest.param({"lossless": True}, id="lossless"),
        pytest.param({"exif": exif(6)}, id="extended"),
        pytest.param({"save_all": True, "append_images": []}, id="animated"),
    ],
)
def test_the_size_of_a_webp_is_in_its_first_bytes(
    size: tuple[int, int], options: dict[str, Any]
) -> None:
    if "append_images" in options:
        options = options | {"append_images": [Image.new("RGB", size, WHITE)]}
    content = encode(four_quarters(size), "WEBP", **options)

    assert read_size(content[:29]) is None
    assert read_size(content[:30]) == size


# What is wrong, in words --------------------------------------------------------------------------


def damaged(content: bytes, chunk: bytes) -> bytes:
    """Return a PNG in which a bit of a chunk is wrong."""
    at = content.index(chunk) + 10
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (encode(NOISE)[:900], "JPEG: it ends before its pixels do"),
        (encode(NOISE, "PNG")[:900], "PNG: it ends before its pixels do"),
        (encode(NOISE, "GIF")[:900], "GIF: it ends before its pixels do"),
        (encode(NOISE, "BMP")[:900], "BMP: it ends before its pixels do"),
        (encode(NOISE, "WEBP")[:900], "WebP: it ends before its pixels do"),
        (encode(NOISE, "AVIF")[:900], "AVIF: its header is damaged, cut off or of a rare kind"),
        (
            damaged(encode(NOISE, "PNG"), b"IHDR"),
            "PNG: its header is damaged, cut off or of a rare kind",
        ),
        (damaged(encode(NOISE, "PNG"), b"IDAT"), "PNG: its pixels are damaged"),
        (b"\xff\xd8\xff" + bytes(600), "JPEG: its header is damaged, cut off or of a rare kind"),
        (tiff([b"\0" * 8] * 4, bits=64), "TIFF: its header is damaged, cut off or of a rare kind"),
    ],
    ids=[f"case {n}" for n in range(10)],
)
def test_a_broken_image_says_in_words_what_is_wrong(content: bytes, detail: str) -> None:
    with pytest.raises(ImageError) as caught:
        store(content, form(size_px=40), max_pixels=10_000)

    assert (caught.value.reason, caught.value.detail) == (ImageFault.DECODE_FAILURE, detail)


def test_the_message_has_the_decoders_words_too() -> None:
    with (
        pytest.raises(ImageError, match="OSError: image file is truncated") as caught,
        decoder_errors(encode(four_quarters())),
    ):
        raise OSError("image file is truncated")

    assert caught.value.reason is ImageFault.DECODE_FAILURE
    assert caught.value.detail == "JPEG: it ends before its pixels do"


def test_what_a_decoder_says_for_the_first_time_is_damage() -> None:
    with pytest.raises(ImageError) as caught, decoder_errors(encode(four_quarters())):
        raise KeyError(7)

    assert caught.value.detail == "JPEG: its data are damaged"


def test_exif_longer_than_a_jpegs_is_not_read() -> None:
    """Its tags may share their bytes, of which each would be a copy."""
    short, long = exif(6), exif(6) + bytes(1 << 16)

    assert orientation_of(open_header(encode(four_quarters(), "WEBP", exif=short))) == 6
    assert orientation_of(open_header(encode(four_quarters(), "WEBP", exif=long))) == 1
