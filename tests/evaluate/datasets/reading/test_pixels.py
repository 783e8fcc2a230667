import io
import zlib

import numpy as np
import pytest
from PIL import Image

from openalign.evaluate.datasets.reading.pixels import to_png


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((28, 28), id="gray"),
        pytest.param((3, 5, 3), id="RGB"),
        pytest.param((1, 1), id="one pixel"),
        pytest.param((256, 255), id="65,536 bytes with filters: one more than a block"),
        pytest.param((255, 256), id="65,535 bytes with filters: a block"),
        pytest.param((200, 300, 3), id="three blocks"),
    ],
)
def test_a_decoder_gives_the_pixels_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    with Image.open(io.BytesIO(to_png(pixels))) as image:
        assert image.format == "PNG"
        assert image.mode == ("L" if len(shape) == 2 else "RGB")
        assert np.array_equal(np.asarray(image), pixels)


def test_a_slice_of_a_larger_array_is_written() -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(6, 6)

    with Image.open(io.BytesIO(to_png(pixels[1:4, 2:5]))) as image:
        assert np.array_equal(np.asarray(image), pixels[1:4, 2:5])


def test_the_bytes_are_those_of_the_standard_and_of_no_compressor() -> None:
    content = to_png(np.array([[1, 2], [3, 4]], dtype=np.uint8))

    rows = b"\x00\x01\x02\x00\x03\x04"
    stored = b"\x78\x01\x01\x06\x00\xf9\xff" + rows + zlib.adler32(rows).to_bytes(4, "big")
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[16:29] == b"\0\0\0\x02\0\0\0\x02\x08\0\0\0\0"
    assert content[33:41] == len(stored).to_bytes(4, "big") + b"IDAT"
    assert content[41 : 41 + len(stored)] == stored
