import struct

import numpy as np
import pytest
from image_encoders import QUARTERS, SIZE, encode, exif, form, four_quarters
from PIL import Image

from openalign.images.decoding import decode
from openalign.images.headers import ImageError
from openalign.images.stored import store
from openalign.images.webp_chunks import whole

STILL = encode(four_quarters(), "WEBP", lossless=True)
ANIMATED = encode(
    four_quarters(), "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", SIZE)]
)
SECOND_FRAME = ANIMATED.index(b"ANMF", ANIMATED.index(b"ANMF") + 4)


def odd_still() -> bytes:
    """Return a lossless WebP whose image has an odd length, and so a byte of padding behind it."""
    for seed in range(50):
        noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        content = encode(Image.fromarray(noise), "WEBP", lossless=True)
        if struct.unpack("<I", content[16:20])[0] % 2:
            return content
    raise AssertionError("no seed gives an odd length")


def that_says(content: bytes, length: int) -> bytes:
    return content[:4] + struct.pack("<I", length) + content[8:]


def shows_quarters(content: bytes) -> bool:
    colors = np.asarray(decode(content))
    return [tuple(colors[y, x]) for y in (8, 24) for x in (12, 36)] == list(QUARTERS)


@pytest.mark.parametrize("content", [STILL, ANIMATED, odd_still(), STILL + b"more"])
def test_a_webp_with_nothing_wrong_is_not_copied(content: bytes) -> None:
    assert whole(content) is content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(that_says(STILL, len(STILL) + 5000), id="that says it is longer"),
        pytest.param(that_says(STILL, 0xFFFFFFFF), id="that says it is endless"),
        pytest.param(ANIMATED[: SECOND_FRAME + 4], id="cut at its second frame"),
        pytest.param(ANIMATED[:-5], id="cut in its second frame"),
        pytest.param(
            encode(four_quarters(), "WEBP", lossless=True, exif=exif(1))[:-3], id="cut in its EXIF"
        ),
    ],
)
def test_a_webp_is_shown_whose_first_image_is_whole(content: bytes) -> None:
    assert shows_quarters(content)
    stored = store(content, form(), max_pixels=10_000)
    assert (stored.width_px, stored.height_px) == SIZE


def test_the_byte_of_padding_may_be_missing_at_the_end() -> None:
    content = odd_still()

    np.testing.assert_array_equal(decode(content[:-1]), decode(content))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(STILL[:-4], id="still"),
        pytest.param(ANIMATED[: ANIMATED.index(b"ANMF") + 40], id="animated"),
        pytest.param(STILL[:20], id="header alone"),
    ],
)
def test_a_webp_whose_image_is_cut_off_is_refused(content: bytes) -> None:
    assert whole(content) is content
    with pytest.raises(ImageError):
        decode(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(that_says(STILL, 0), id="nothing"),
        pytest.param(that_says(STILL, len(STILL) - 8 - 20), id="20 bytes too little"),
        pytest.param(that_says(odd_still(), len(odd_still()) - 9), id="all but its padding"),
        pytest.param(
            that_says(odd_still()[:-1], len(odd_still()) - 9), id="a file without its padding"
        ),
    ],
)
def test_a_webp_that_says_that_it_ends_within_its_image_is_refused(content: bytes) -> None:
    """`libwebp` calls it inconsistent; what stands behind that end may be anything."""
    assert whole(content) is content
    with pytest.raises(ImageError):
        decode(content)
