from typing import Any

import numpy as np
import pytest
from image_encoders import encode, exif, linear_profile
from PIL import Image

from openalign.images import decoding
from openalign.images.decoding import decode, decode_array
from openalign.images.headers import ImageError
from openalign.images.jpeg_headers import plain_size

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 24, 3), dtype=np.uint8))
PLAIN = encode(NOISE)


def segment(code: int, content: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(content) + 2).to_bytes(2, "big") + content


def with_first(added: bytes, content: bytes = PLAIN) -> bytes:
    """Return a JPEG with something between its start and its first marker."""
    return content[:2] + added + content[2:]


@pytest.mark.parametrize(
    ("image", "options"),
    [
        pytest.param(NOISE, {}, id="baseline"),
        pytest.param(NOISE, {"progressive": True}, id="progressive"),
        pytest.param(NOISE, {"restart_marker_blocks": 2}, id="restart markers"),
        pytest.param(NOISE, {"comment": b"a note"}, id="a comment"),
        pytest.param(NOISE.convert("L"), {}, id="gray"),
    ],
)
def test_a_plain_jpeg_has_its_size_and_the_pixels_that_pillow_would_open(
    image: Image.Image, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(image, **options)
    expected = np.asarray(decode(content))
    monkeypatch.delattr(decoding, "open_header")  # Pillow is not asked

    assert plain_size(content) == (24, 40)
    np.testing.assert_array_equal(decode_array(content), expected)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(encode(NOISE, "PNG"), id="a PNG"),
        pytest.param(encode(NOISE, exif=exif(6)), id="turned"),
        pytest.param(encode(NOISE, exif=exif(1)), id="EXIF that turns nothing"),
        pytest.param(encode(NOISE, icc_profile=linear_profile()), id="a profile"),
        pytest.param(encode(NOISE.convert("CMYK")), id="inks"),
        pytest.param(with_first(segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")), id="Adobe's colors"),
        pytest.param(with_first(segment(0xE2, b"MPF\0")), id="several pictures"),
        pytest.param(PLAIN[:2] + segment(0xE0, b"JFIF\0") + PLAIN[20:], id="half of JFIF"),
        pytest.param(with_first(segment(0xE0, b"AVI1" + bytes(14))), id="a frame of a film"),
        pytest.param(with_first(b"\xff"), id="a byte of filling"),
        pytest.param(with_first(b"\0"), id="a byte of nothing"),
        pytest.param(PLAIN[: PLAIN.index(b"\xff\xda")], id="cut off before its pixels"),
        pytest.param(with_first(segment(0xC0, b"\x08\0\x28\0\x18\x03")), id="two frames"),
        pytest.param(PLAIN.replace(b"\x08\0\x28\0\x18\x03", b"\x0c\0\x28\0\x18\x03"), id="12 bits"),
        pytest.param(PLAIN.replace(b"\x08\0\x28\0\x18\x03", b"\x08\0\0\0\x18\x03"), id="no height"),
        pytest.param(
            PLAIN.replace(b"\x08\0\x28\0\x18\x03", b"\x08\xff\xff\xff\xff\x03"), id="a bomb"
        ),
    ],
)
def test_anything_else_is_left_to_pillow(content: bytes) -> None:
    assert content != PLAIN
    assert plain_size(content) is None


def test_every_beginning_of_a_jpeg_is_told_without_an_error() -> None:
    for length in range(len(PLAIN)):
        assert plain_size(PLAIN[:length]) in (None, (24, 40))


def test_a_jpeg_that_is_only_told_by_pillow_is_turned() -> None:
    assert decode_array(encode(NOISE, exif=exif(6))).shape == (24, 40, 3)
    assert decode_array(PLAIN).shape == (40, 24, 3)


def test_a_damaged_plain_jpeg_is_refused_as_before() -> None:
    cut = PLAIN[:-200]

    for read in (decode, decode_array):
        with pytest.raises(ImageError, match="it ends before its pixels do"):
            read(cut)
