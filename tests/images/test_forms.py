"""The forms in which an image can be stored: size, encoding, or the file as it came."""

import io
from typing import Any

import numpy as np
import pytest
from odd_images import QUARTERS, encode, exif, form, four_quarters
from PIL import Image

from openalign.files.names import IMAGE_MEMBERS
from openalign.images.forms import MEMBER_ENDINGS
from openalign.images.headers import ImageError, ImageFault
from openalign.images.stored import StoredImage, inspect, store

LIMIT = 100_000_000


def stored(content: bytes, **changes: Any) -> StoredImage:
    return store(content, form(**changes), max_pixels=LIMIT)


def opened(image: StoredImage) -> Image.Image:
    return Image.open(io.BytesIO(image.content))


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        ("short_side", (400, 300), (133, 100)),
        ("short_side", (300, 400), (100, 133)),
        ("short_side", (400, 100), (400, 100)),
        ("squash", (400, 300), (100, 100)),
        ("squash", (400, 60), (100, 60)),
        ("squash", (100, 400), (100, 100)),
        ("squash", (60, 40), (60, 40)),
        ("center_crop", (400, 300), (100, 100)),
        ("center_crop", (400, 60), (60, 60)),
        ("center_crop", (100, 101), (100, 100)),
        ("none", (400, 300), (400, 300)),
        ("none", (40, 30), (40, 30)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_side_is_made_longer(
    kind: str, resize: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    content = encode(four_quarters(size), kind)

    image = stored(content, resize=resize, size_px=100)

    assert opened(image).size == expected
    assert (image.width_px, image.height_px) == size


def test_of_an_odd_margin_the_smaller_half_is_above_and_left() -> None:
    wide = np.zeros((3, 8, 3), np.uint8)
    wide[:, 2:5] = 255  # a margin of 5: two columns are cut off on the left, three on the right

    image = stored(encode(Image.fromarray(wide), "PNG"), resize="center_crop", format="png")

    assert np.asarray(opened(image)).min() == 255
    assert opened(image).size == (3, 3)


def test_a_squashed_image_shows_all_of_the_original() -> None:
    image = stored(encode(four_quarters((400, 200)), "PNG"), resize="squash", size_px=100)

    pixels = np.asarray(opened(image)).astype(int)

    np.testing.assert_allclose([pixels[y, x] for y in (25, 75) for x in (25, 75)], QUARTERS, atol=8)


@pytest.mark.parametrize(
    ("encoding", "kind", "ending"),
    [("jpeg", "JPEG", "jpg"), ("webp", "WEBP", "webp"), ("png", "PNG", "png")],
)
def test_a_format_is_what_is_stored_upright_and_bare(encoding: str, kind: str, ending: str) -> None:
    content = encode(four_quarters((400, 300)), "JPEG", exif=exif(6))

    image = stored(content, format=encoding, size_px=60)

    assert (opened(image).format, opened(image).size, image.ending) == (kind, (60, 80), ending)
    assert dict(opened(image).getexif()) == {}


def test_a_png_keeps_every_pixel_and_quality_is_that_of_the_others() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), "PNG")

    image = stored(content, format="png", resize="none")

    np.testing.assert_array_equal(np.asarray(opened(image)), noise)
    assert stored(content, format="png", quality=1) == stored(content, format="png")
    for encoding in ("jpeg", "webp"):
        coarse, fine = (stored(content, format=encoding, quality=q).content for q in (10, 95))
        assert 2 * len(coarse) < len(fine)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "MPO"])
def test_an_original_is_kept_as_it_came_under_its_own_ending(kind: str) -> None:
    content = encode(four_quarters((400, 300)), kind)

    image = stored(content, keep_original=True, size_px=20, format="png")

    assert image.content == content
    assert image.ending == MEMBER_ENDINGS[kind]
    facts = inspect(content, max_pixels=LIMIT)
    assert (image.sha256, image.phash) == (facts.sha256, facts.phash)
    assert (image.width_px, image.height_px, image.ending) == (400, 300, facts.ending)


def test_every_ending_is_one_that_readers_look_for() -> None:
    assert set(MEMBER_ENDINGS.values()) == set(IMAGE_MEMBERS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_hash_is_the_same_in_every_form(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise).resize((1000, 750), Image.Resampling.BICUBIC), kind)
    forms: list[dict[str, Any]] = [
        {},
        {"resize": "squash", "size_px": 100},
        {"resize": "center_crop", "format": "webp"},
        {"resize": "none", "format": "png"},
        {"keep_original": True},
    ]

    assert len({stored(content, **changes).phash for changes in forms}) == 1


def test_what_an_encoder_does_not_take_is_too_large() -> None:
    ribbon = encode(Image.new("RGB", (16_384, 1)), "PNG")

    assert opened(stored(ribbon, format="jpeg")).size == (16_384, 1)
    with pytest.raises(ImageError, match="16384 x 1 pixels: more than a webp holds") as caught:
        stored(ribbon, format="webp")
    assert caught.value.reason is ImageFault.TOO_MANY_PIXELS


def test_the_same_bytes_come_out_again() -> None:
    content = encode(four_quarters((400, 300)))

    for encoding in ("jpeg", "webp", "png"):
        assert stored(content, format=encoding) == stored(content, format=encoding)
