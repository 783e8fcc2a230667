import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_images import encode, exif, form, four_quarters, linear_profile, png_that_claims
from PIL import Image

from openalign.images.headers import ImageError, ImageFault, read_size
from openalign.images.stored import StoredImage, store

RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 180, 20), (20, 20, 220), (255, 255, 255)


def quarters(width: int = 400, height: int = 300) -> Image.Image:
    """Return an image whose four quarters differ: red, green, blue, white."""
    return four_quarters((width, height), (RED, GREEN, BLUE, WHITE))


def stored(content: bytes, *, max_pixels: int = 10_000_000, **changes: Any) -> StoredImage:
    return store(content, form(**({"size_px": 120} | changes)), max_pixels=max_pixels)


def corners(jpeg: bytes) -> list[tuple[int, int, int]]:
    """Return the color of each quarter's middle, row by row."""
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    width, height = image.size
    return [image.getpixel((width * x // 4, height * y // 4)) for y in (1, 3) for x in (1, 3)]  # pyright: ignore[reportReturnType]


def assert_colors(jpeg: bytes, expected: list[tuple[int, int, int]], tolerance: int = 8) -> None:
    np.testing.assert_allclose(corners(jpeg), expected, atol=tolerance)


def size_of(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def reason(content: bytes, **changes: Any) -> ImageFault:
    with pytest.raises(ImageError) as caught:
        stored(content, **changes)
    return caught.value.reason


# What is stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_every_format_comes_out_as_a_small_jpeg_of_the_same_image(kind: str) -> None:
    content = encode(quarters(), kind)

    image = stored(content)

    assert (image.width_px, image.height_px) == (400, 300)
    assert image.sha256 == hashlib.sha256(content).hexdigest()
    assert size_of(image.content) == (160, 120)
    assert_colors(image.content, [RED, GREEN, BLUE, WHITE], tolerance=14)


@pytest.mark.parametrize(
    ("size", "size_px", "expected"),
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
    kind: str, size: tuple[int, int], size_px: int, expected: tuple[int, int]
) -> None:
    image = stored(encode(quarters(*size), kind), size_px=size_px)

    assert size_of(image.content) == expected
    assert (image.width_px, image.height_px) == size


def test_a_jpeg_decoded_at_a_reduced_scale_looks_like_one_decoded_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC))
    whole = Image.open(io.BytesIO(content)).resize((160, 120), Image.Resampling.BICUBIC)

    image = np.asarray(Image.open(io.BytesIO(stored(content).content)), dtype=float)

    assert np.abs(image - np.asarray(whole, dtype=float)).mean() < 6


# The image that each EXIF orientation makes of quarters red, green, blue, white.
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
    content = encode(quarters(), kind, exif=exif(orientation))

    image = stored(content)

    upright = (300, 400) if orientation in (5, 6, 7, 8) else (400, 300)
    assert (image.width_px, image.height_px) == upright
    assert size_of(image.content) == ((120, 160) if orientation in (5, 6, 7, 8) else (160, 120))
    assert_colors(image.content, expected, tolerance=14)
    if kind == "JPEG":
        assert read_size(content) == upright


def test_broken_exif_costs_nothing_but_itself() -> None:
    content = encode(quarters(), exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")

    assert_colors(stored(content).content, [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    half = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    half.paste((0, 0, 0, 255), (0, 0, 200, 300))
    content = encode(half.convert(mode) if mode != "P" else half.quantize(4), "PNG")

    assert_colors(stored(content).content, [(0, 0, 0), WHITE] * 2)


def test_what_is_half_transparent_is_half_white() -> None:
    content = encode(Image.new("RGBA", (400, 300), (0, 0, 0, 128)), "PNG")

    assert_colors(stored(content).content, [(127, 127, 127)] * 4)


def test_a_color_that_a_png_declares_transparent_becomes_white() -> None:
    content = encode(quarters(), "PNG", transparency=RED)

    assert_colors(stored(content).content, [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_stored(kind: str) -> None:
    frames = [Image.new("RGB", (400, 300), color) for color in (RED, GREEN, BLUE)]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])

    assert_colors(stored(content).content, [RED] * 4, tolerance=14)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "I", "F"])
def test_gray_images_of_any_depth_come_out_as_they_look(mode: str) -> None:
    gray = np.zeros((300, 400), dtype=np.uint8)
    gray[:, 200:] = 255
    images = {
        "L": Image.fromarray(gray),
        "1": Image.fromarray(gray).convert("1"),
        "I;16": Image.fromarray(gray.astype(np.uint16) * 257),
        "I": Image.fromarray(gray.astype(np.int32) * 257),
        "F": Image.fromarray(gray.astype(np.float32)),
    }

    image = stored(encode(images[mode], "TIFF"))

    assert_colors(image.content, [(0, 0, 0), WHITE] * 2)


def test_a_gray_jpeg_comes_out_in_color_mode() -> None:
    assert_colors(stored(encode(Image.new("L", (400, 300), 100))).content, [(100, 100, 100)] * 4)


def test_a_cmyk_jpeg_comes_out_in_its_colors() -> None:
    content = encode(quarters().convert("CMYK"))
    assert Image.open(io.BytesIO(content)).mode == "CMYK"

    assert_colors(stored(content).content, [RED, GREEN, BLUE, WHITE], tolerance=14)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_color_profile_is_applied(kind: str) -> None:
    # In linear light, a value of 55 of 255 is what sRGB calls 128 (0.216 to the power of 1/2.4).
    gray = Image.new("RGB", (400, 300), (55, 55, 55))
    content = encode(gray, kind, icc_profile=linear_profile())

    assert_colors(stored(content).content, [(128, 128, 128)] * 4, tolerance=3)


def test_a_broken_color_profile_is_left_aside() -> None:
    content = encode(quarters(), icc_profile=b"no profile")

    assert_colors(stored(content).content, [RED, GREEN, BLUE, WHITE])


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html><body>Not found</body></html>", id="a page"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(b"%PDF-1.7 and so on and so on and so on", id="a document"),
        pytest.param(b"\0\0\0\x20ftypisom" + b"\0" * 100, id="a film"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    assert reason(content) == ImageFault.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_half_an_image_is_a_decode_failure(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), kind)

    assert reason(content[: len(content) // 2]) is ImageFault.DECODE_FAILURE


def test_a_jpeg_with_bytes_behind_its_end_is_taken() -> None:
    assert_colors(
        stored(encode(quarters()) + b"\n<!-- cached -->").content, [RED, GREEN, BLUE, WHITE]
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((5000, 2000), ImageFault.DECODE_FAILURE, id="on the bound: decoded"),
        pytest.param((5001, 2000), ImageFault.TOO_MANY_PIXELS, id="above the bound"),
        pytest.param((50_000, 50_000), ImageFault.TOO_MANY_PIXELS, id="beyond Pillow's own bound"),
    ],
)
def test_a_decompression_bomb_is_refused_on_its_header(
    size: tuple[int, int], expected: ImageFault
) -> None:
    assert reason(png_that_claims(*size), max_pixels=10_000_000) == expected


def test_nothing_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = encode(quarters())

    assert stored(content) == stored(content)
    assert list(tmp_path.iterdir()) == []
