import numpy as np
import pytest
from odd_images import encode, exif, four_quarters, png_that_claims
from PIL import Image

from openalign.files.states import FetchState
from openalign.images.headers import MAGIC_BYTES, ImageError, ImageFault, decoder_errors, read_size


def test_every_fault_is_a_state_of_fetch() -> None:
    assert {fault.value for fault in ImageFault} == {
        FetchState.NOT_AN_IMAGE.value,
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
    assert read_size(content[:MAGIC_BYTES]) is None
    assert read_size(b"<" * (MAGIC_BYTES - 1)) is None
    with pytest.raises(ImageError, match="no image"):
        read_size(b"<" * MAGIC_BYTES)


@pytest.mark.parametrize(
    ("orientation", "expected"), [(1, (48, 32)), (4, (48, 32)), (5, (32, 48)), (8, (32, 48))]
)
def test_the_size_is_that_of_the_upright_image(orientation: int, expected: tuple[int, int]) -> None:
    assert read_size(encode(four_quarters((48, 32)), exif=exif(orientation))) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((10_000, 10_000), (10_000, 10_000), id="Pillow would warn: the caller judges"),
        pytest.param((50_000, 50_000), None, id="beyond Pillow's own bound"),
    ],
)
def test_the_size_of_a_decompression_bomb_is_told(
    size: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    if expected is not None:
        assert read_size(png_that_claims(*size)) == expected
        return
    with pytest.raises(ImageError) as caught:
        read_size(png_that_claims(*size))
    assert caught.value.reason is ImageFault.TOO_MANY_PIXELS


def test_the_detail_is_short_and_the_message_has_the_decoders_words() -> None:
    with (
        pytest.raises(ImageError, match="OSError: image file is truncated") as caught,
        decoder_errors(),
    ):
        raise OSError("image file is truncated")

    assert caught.value.reason is ImageFault.DECODE_FAILURE
    assert caught.value.detail == "OSError"
