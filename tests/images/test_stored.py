import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from openalign.files.states import FetchState
from openalign.images.stored import (
    MAGIC_BYTES,
    ImageError,
    StoredImage,
    fingerprint,
    measure,
    phash_of,
    store,
)

RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 180, 20), (20, 20, 220), (255, 255, 255)


def quarters(width: int = 400, height: int = 300) -> Image.Image:
    """Return a picture whose four quarters differ: red, green, blue, white."""
    picture = Image.new("RGB", (width, height), WHITE)
    picture.paste(RED, (0, 0, width // 2, height // 2))
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    return picture


def encode(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    sink = io.BytesIO()
    picture.save(
        sink, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}), **options
    )
    return sink.getvalue()


def stored(data: bytes, *, short_side_px: int = 120, max_pixels: int = 10_000_000) -> StoredImage:
    return store(data, short_side_px=short_side_px, jpeg_quality=90, max_pixels=max_pixels)


def corners(jpeg: bytes) -> list[tuple[int, int, int]]:
    """Return the color of each quarter's middle, row by row."""
    picture = Image.open(io.BytesIO(jpeg))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    width, height = picture.size
    return [picture.getpixel((width * x // 4, height * y // 4)) for y in (1, 3) for x in (1, 3)]  # pyright: ignore[reportReturnType]


def assert_colors(jpeg: bytes, expected: list[tuple[int, int, int]], tolerance: int = 8) -> None:
    np.testing.assert_allclose(corners(jpeg), expected, atol=tolerance)


def size_of(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def reason(data: bytes, **changes: Any) -> FetchState:
    with pytest.raises(ImageError) as caught:
        stored(data, **changes)
    return caught.value.state


# What is stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_every_format_comes_out_as_a_small_jpeg_of_the_same_picture(kind: str) -> None:
    data = encode(quarters(), kind)

    image = stored(data)

    assert (image.width_px, image.height_px) == (400, 300)
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert size_of(image.jpeg) == (160, 120)
    assert_colors(image.jpeg, [RED, GREEN, BLUE, WHITE], tolerance=14)


@pytest.mark.parametrize(
    ("size", "short_side_px", "expected"),
    [
        pytest.param((400, 300), 299, (399, 299), id="just larger than the target"),
        pytest.param((400, 300), 300, (400, 300), id="as large as the target"),
        pytest.param((400, 300), 301, (400, 300), id="never enlarged"),
        pytest.param((300, 400), 150, (150, 200), id="portrait"),
        pytest.param((2000, 200), 100, (1000, 100), id="wide"),
        pytest.param((1, 3000), 100, (1, 3000), id="one pixel wide"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_short_side_is_brought_to_its_size(
    kind: str, size: tuple[int, int], short_side_px: int, expected: tuple[int, int]
) -> None:
    image = stored(encode(quarters(*size), kind), short_side_px=short_side_px)

    assert size_of(image.jpeg) == expected
    assert (image.width_px, image.height_px) == size


def test_a_jpeg_decoded_at_a_reduced_scale_looks_like_one_decoded_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC))
    whole = Image.open(io.BytesIO(data)).resize((160, 120), Image.Resampling.BICUBIC)

    image = np.asarray(Image.open(io.BytesIO(stored(data).jpeg)), dtype=float)

    assert np.abs(image - np.asarray(whole, dtype=float)).mean() < 6


# The picture that each EXIF orientation makes of quarters red, green, blue, white.
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (9, [RED, GREEN, BLUE, WHITE]),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied(
    kind: str, orientation: int, expected: list[tuple[int, int, int]]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(quarters(), kind, exif=exif.tobytes())

    image = stored(data)

    upright = (300, 400) if orientation in (5, 6, 7, 8) else (400, 300)
    assert (image.width_px, image.height_px) == upright
    assert size_of(image.jpeg) == ((120, 160) if orientation in (5, 6, 7, 8) else (160, 120))
    assert_colors(image.jpeg, expected, tolerance=14)
    if kind == "JPEG":
        assert measure(data) == upright


def test_broken_exif_costs_nothing_but_itself() -> None:
    data = encode(quarters(), exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")

    assert_colors(stored(data).jpeg, [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    picture = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 200, 300))
    data = encode(picture.convert(mode) if mode != "P" else picture.quantize(4), "PNG")

    assert_colors(stored(data).jpeg, [(0, 0, 0), WHITE] * 2)


def test_what_is_half_transparent_is_half_white() -> None:
    data = encode(Image.new("RGBA", (400, 300), (0, 0, 0, 128)), "PNG")

    assert_colors(stored(data).jpeg, [(127, 127, 127)] * 4)


def test_a_color_that_a_png_declares_transparent_becomes_white() -> None:
    data = encode(quarters(), "PNG", transparency=RED)

    assert_colors(stored(data).jpeg, [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_stored(kind: str) -> None:
    frames = [Image.new("RGB", (400, 300), color) for color in (RED, GREEN, BLUE)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])

    assert_colors(stored(data).jpeg, [RED] * 4, tolerance=14)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "I", "F"])
def test_gray_pictures_of_any_depth_come_out_as_they_look(mode: str) -> None:
    gray = np.zeros((300, 400), dtype=np.uint8)
    gray[:, 200:] = 255
    pictures = {
        "L": Image.fromarray(gray),
        "1": Image.fromarray(gray).convert("1"),
        "I;16": Image.fromarray(gray.astype(np.uint16) * 257),
        "I": Image.fromarray(gray.astype(np.int32) * 257),
        "F": Image.fromarray(gray.astype(np.float32)),
    }

    image = stored(encode(pictures[mode], "TIFF"))

    assert_colors(image.jpeg, [(0, 0, 0), WHITE] * 2)


def test_a_gray_jpeg_comes_out_in_color_mode() -> None:
    assert_colors(stored(encode(Image.new("L", (400, 300), 100))).jpeg, [(100, 100, 100)] * 4)


def test_a_cmyk_jpeg_comes_out_in_its_colors() -> None:
    data = encode(quarters().convert("CMYK"))
    assert Image.open(io.BytesIO(data)).mode == "CMYK"

    assert_colors(stored(data).jpeg, [RED, GREEN, BLUE, WHITE], tolerance=14)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_color_profile_is_applied(kind: str) -> None:
    # In linear light, a value of 55 of 255 is what sRGB calls 128 (0.216 to the power of 1/2.4).
    profile = linear_rgb_profile()
    data = encode(Image.new("RGB", (400, 300), (55, 55, 55)), kind, icc_profile=profile)

    assert_colors(stored(data).jpeg, [(128, 128, 128)] * 4, tolerance=3)


def test_a_broken_color_profile_is_left_aside() -> None:
    data = encode(quarters(), icc_profile=b"no profile")

    assert_colors(stored(data).jpeg, [RED, GREEN, BLUE, WHITE])


def linear_rgb_profile() -> bytes:
    """Return the sRGB profile with its three curves made straight lines."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", profile[128:132])[0]):
        name, offset, _ = struct.unpack(">4sII", profile[132 + 12 * number : 144 + 12 * number])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + 12] = struct.pack(">4sII", b"curv", 0, 0)
        if name == b"desc":  # or its name would say that nothing is to be done
            at = profile.index("sRGB".encode("utf-16-be"), offset)
            profile[at : at + 8] = "line".encode("utf-16-be")
    return bytes(profile)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html><body>Not found</body></html>", id="a page"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="a drawing"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(b"%PDF-1.7 and so on and so on and so on", id="a document"),
        pytest.param(b"\0\0\0\x20ftypisom" + b"\0" * 100, id="a film"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert reason(data) == FetchState.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_half_an_image_is_a_decode_failure(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)

    assert reason(data[: len(data) // 2]) in (FetchState.DECODE_FAILURE, FetchState.NOT_AN_IMAGE)


def test_a_jpeg_with_bytes_behind_its_end_is_taken() -> None:
    assert_colors(stored(encode(quarters()) + b"\n<!-- cached -->").jpeg, [RED, GREEN, BLUE, WHITE])


def png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header says that it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((5000, 2000), FetchState.DECODE_FAILURE, id="on the bound: decoded"),
        pytest.param((5001, 2000), FetchState.TOO_MANY_PIXELS, id="above the bound"),
        pytest.param((50_000, 50_000), FetchState.TOO_MANY_PIXELS, id="beyond Pillow's own bound"),
    ],
)
def test_a_decompression_bomb_is_refused_on_its_header(
    size: tuple[int, int], expected: FetchState
) -> None:
    assert reason(png_that_claims(*size), max_pixels=10_000_000) == expected


def test_a_picture_that_pillow_would_warn_of_is_judged_by_our_bound_alone() -> None:
    data = png_that_claims(10_000, 10_000)

    assert measure(data) == (10_000, 10_000)
    assert reason(data, max_pixels=99_999_999) == FetchState.TOO_MANY_PIXELS


# First bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_the_first_bytes_tell_the_size(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)

    assert measure(data[:2000]) == (400, 300)
    assert measure(data) == (400, 300)


def test_too_few_bytes_tell_nothing_yet() -> None:
    data = encode(quarters())

    assert measure(b"") is None
    assert measure(data[:3]) is None
    assert measure(data[:MAGIC_BYTES]) is None
    assert measure(b"<" * (MAGIC_BYTES - 1)) is None
    with pytest.raises(ImageError, match="no image"):
        measure(b"<" * MAGIC_BYTES)


# Fingerprints -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("short_side_px", [64, 346, 500])
def test_a_fingerprint_is_what_store_says_whatever_size_is_stored(
    kind: str, short_side_px: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).resize((1000, 750), Image.Resampling.BICUBIC), kind)

    image = stored(data, short_side_px=short_side_px)

    assert fingerprint(data) == (image.sha256, image.phash)


def test_the_hash_is_the_dct_written_out() -> None:
    rng = np.random.default_rng(2)
    grid = rng.integers(0, 256, (32, 32)).astype(np.uint8)

    frequencies = {}
    k = np.arange(32)
    for u in range(8):
        for v in range(8):
            waves = np.outer(
                np.cos(np.pi * (2 * k + 1) * u / 64), np.cos(np.pi * (2 * k + 1) * v / 64)
            )
            frequencies[8 * u + v] = float((waves * grid).sum())
    median = sorted(frequencies[i] for i in range(1, 64))[31]
    expected = sum(1 << i for i, value in frequencies.items() if value > median)

    assert phash_of(Image.fromarray(grid)) == expected


def test_the_hash_survives_size_format_and_color_and_not_another_picture() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC)
    other = Image.fromarray(noise[::-1]).resize((400, 300), Image.Resampling.BICUBIC)
    original = fingerprint(encode(picture, "PNG"))[1]

    def distance(data: bytes) -> int:
        return (original ^ fingerprint(data)[1]).bit_count()

    assert distance(encode(picture.resize((200, 150)), "JPEG")) <= 4
    assert distance(encode(picture.convert("L"), "WEBP")) <= 4
    assert distance(encode(other, "PNG")) >= 16


def test_the_hash_of_a_plain_picture_has_the_mean_alone() -> None:
    assert phash_of(Image.new("RGB", (50, 50), WHITE)) == 1


def test_nothing_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = encode(quarters())

    assert stored(data) == stored(data)
    assert list(tmp_path.iterdir()) == []
