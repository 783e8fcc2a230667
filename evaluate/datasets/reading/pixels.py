"""Pixels as an image file: for data sets that hold arrays, or images that must be changed first."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from openalign.errors import InputError
from openalign.evaluate.datasets.images import ImagePlace

Pixels = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {1: 0, 3: 2}
"""PNG's numbers for gray and for RGB, by channels."""

_STORED_MAX = 65535
"""Most bytes of a block that deflate stores as they are."""


def pixels_of(place: ImagePlace) -> Pixels:
    """Return an image's colors [H, W, 3], as the one decoder gives them.

    Raises:
        InputError: it is not there, or is no image.
    """
    from openalign.images.decoding import decode
    from openalign.images.headers import ImageError

    content = place.read()
    try:
        return np.asarray(decode(content))
    except ImageError as error:
        raise InputError(f"{place.file}: an image in it cannot be decoded: {error}") from error


def to_png(pixels: Pixels) -> bytes:
    """Return a PNG of gray values [H, W] or colors [H, W, 3], each a uint8.

    The values are stored and not compressed: the bytes are the same for every release of zlib,
    and an embedding's key holds their hash.
    """
    height_px, width_px = pixels.shape[:2]
    num_channels = pixels.shape[2] if pixels.ndim == 3 else 1
    size = struct.pack(">II", width_px, height_px)
    header = size + bytes([8, _COLOR_TYPES[num_channels], 0, 0, 0])
    rows = pixels.reshape(height_px, -1)
    filtered = np.concatenate([np.zeros((height_px, 1), np.uint8), rows], axis=1).tobytes()
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", _stored(filtered)),
            _chunk(b"IEND", b""),
        )
    )


def _stored(content: bytes) -> bytes:
    """Return a zlib stream of stored blocks (RFC 1950 and 1951)."""
    blocks = [content[at : at + _STORED_MAX] for at in range(0, len(content), _STORED_MAX)]
    parts = [b"\x78\x01"]
    for number, block in enumerate(blocks, start=1):
        last = number == len(blocks)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", zlib.adler32(content))])


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
