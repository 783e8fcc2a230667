"""What is stored, trained on, evaluated and shown is the same image, of whatever odd kind."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from image_encoders import Color, form
from odd_images import OddImage, odd_images
from PIL import Image

from openalign.images import decoding
from openalign.images.stored import store
from openalign.train.data.preprocess import read_pixels as decode_square

ODD = [pytest.param(image, id=image.name) for image in odd_images()]


def quarters_of(pixels: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Return the colors in the middles of an image's quarters, row by row."""
    height, width, _ = pixels.shape
    return [pixels[height * y // 4, width * x // 4].tolist() for y in (1, 3) for x in (1, 3)]


def assert_shows(pixels: npt.NDArray[np.uint8], quarters: Sequence[Color], tolerance: int) -> None:
    np.testing.assert_allclose(quarters_of(pixels), quarters, atol=tolerance)


@pytest.mark.parametrize("odd", ODD)
def test_all_pixels_are_upright_and_in_srgb(odd: OddImage) -> None:
    image = decoding.decode(odd.content)

    assert (image.mode, image.size) == ("RGB", odd.size)
    assert_shows(np.asarray(image), odd.quarters, tolerance=3)


@pytest.mark.parametrize("min_side_px", [0, 8, 1000])
@pytest.mark.parametrize("odd", ODD)
def test_an_array_has_the_pixels_of_the_image(odd: OddImage, min_side_px: int) -> None:
    image = decoding.decode(odd.content, min_side_px=min_side_px)

    found = decoding.decode_array(odd.content, min_side_px=min_side_px)

    np.testing.assert_array_equal(found, np.asarray(image))
    assert found.flags.writeable  # what is made of it takes it over


@pytest.mark.parametrize("odd", ODD)
def test_what_is_stored_and_trained_on_is_what_is_evaluated(odd: OddImage) -> None:
    stored = store(odd.content, form(size_px=40, quality=95), max_pixels=10_000_000)

    assert (stored.width_px, stored.height_px) == odd.size
    assert_shows(np.asarray(Image.open(io.BytesIO(stored.content))), odd.quarters, tolerance=12)
    assert_shows(decode_square(stored.content, resize_px=16), odd.quarters, tolerance=12)
    assert_shows(decode_square(odd.content, resize_px=16), odd.quarters, tolerance=3)


@pytest.mark.parametrize("odd", ODD)
def test_what_the_report_shows_is_the_same_image(odd: OddImage) -> None:
    small = decoding.thumbnail(odd.content, max_side_px=24)

    assert small.mode == "RGB"
    assert max(small.size) == min(24, max(odd.size))
    assert_shows(np.asarray(small), odd.quarters, tolerance=3)


def test_a_red_of_the_swapped_profile_is_blue() -> None:
    """The case written out: every use sees the blue that a browser shows, not the file's red."""
    [odd] = [image for image in odd_images() if image.name == "png, swapped profile"]
    with Image.open(io.BytesIO(odd.content)) as file:
        assert file.convert("RGB").getpixel((0, 0)) == (255, 0, 0)

    stored = store(odd.content, form(quality=95), max_pixels=10_000)
    seen = [
        decoding.decode(odd.content).getpixel((0, 0)),
        decoding.thumbnail(odd.content, max_side_px=8).getpixel((0, 0)),
        Image.open(io.BytesIO(stored.content)).getpixel((4, 4)),
        decode_square(stored.content, resize_px=8)[0, 0],
        decode_square(odd.content, resize_px=8)[0, 0],
    ]

    np.testing.assert_allclose(seen, [(0, 0, 255)] * 5, atol=5)
