"""TIFFs that Pillow reads wrongly, and how they are opened instead.

Without an error, it takes bytes for samples where the planes of wide samples lie behind each other
uncompressed, swaps the bytes of compressed floats and numbers with signs once too often where the
most significant comes first, leaves pixels black whose strips are missing, and makes a palette of
small values black.
"""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType
from typing import Any

import numpy as np
from PIL import Image, ImagePalette, TiffImagePlugin

_WIDTH, _HEIGHT = 256, 257
_BITS, _COMPRESSION, _STRIPS, _SAMPLES, _ROWS_PER_STRIP = 258, 259, 273, 277, 278
_PLANES, _PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 284, 320, 322, 323, 324
_UNCOMPRESSED = 1
_ONE_BEHIND_THE_OTHER = 2

_MOST_PIECES = 1 << 18
"""More strips or tiles have no images of any size, and Pillow takes a second for 200,000."""

_MOST_TAGS = 1 << 12
"""So many are looked at of one image."""

_BIG_ENDIAN = re.compile(r"([FI];\d+)B([FS])")
"""Pillow's names of samples in a file's order. libtiff has them in this machine's, called N."""


class _ReadByLibtiff(TiffImagePlugin.TiffImageFile):
    """A TIFF whose pixels libtiff reads; else it only unpacks compressed ones.

    Pillow knows that only as a global of its module, which would change what other threads decode.
    So one of its methods is given globals of its own.
    """

    _setup = FunctionType(
        vars(TiffImagePlugin.TiffImageFile)["_setup"].__code__,
        {**vars(TiffImagePlugin), "READ_LIBTIFF": True},
    )


def opened_rightly(image: Image.Image, content: bytes) -> Image.Image:
    """Return an image whose header Pillow has read, so that it is decoded rightly.

    Raises:
        OSError: it has fewer strips or tiles than its size needs.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if _num_pieces(tags) < _num_needed(tags):
        raise OSError("truncated: strips or tiles are missing")
    if _lies_in_deep_planes(tags):
        image = _ReadByLibtiff(io.BytesIO(content))
    image.tile = [_in_native_order(tile) for tile in image.tile]  # pyright: ignore[reportAttributeAccessIssue]
    palette = tags.get(_PALETTE)
    if image.mode == "P" and palette and max(palette) < 256:  # libtiff takes such values so, too
        image.palette = ImagePalette.raw("RGB;L", bytes(palette))
    return image


def require_few_pieces(content: bytes) -> None:
    """See, before Pillow reads its header, that a TIFF does not list millions of pieces.

    Raises:
        OSError: it does.
    """
    if any(count > _MOST_PIECES for tag, count in _counts(content) if tag in (_STRIPS, _TILES)):
        raise OSError("broken: no image has so many strips or tiles")


def _counts(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the tags of the first image with the numbers of their values, as far as they go."""
    order = ">" if content[:2] == b"MM" else "<"
    is_big = 43 in content[2:4]
    at, pointer, length, entry = (8, "Q", "Q", "HHQ8x") if is_big else (4, "I", "H", "HHI4x")
    with suppress(struct.error):  # it is cut off
        (at,) = struct.unpack_from(order + pointer, content, at)
        (num_tags,) = struct.unpack_from(order + length, content, at)
        at += struct.calcsize(order + length)
        for _ in range(min(num_tags, _MOST_TAGS)):
            tag, _kind, count = struct.unpack_from(order + entry, content, at)
            yield tag, count
            at += struct.calcsize(order + entry)


def _num_pieces(tags: Any) -> int:
    return len(tags.get(_STRIPS) or tags.get(_TILES) or ())


def _in_native_order(tile: Any) -> Any:
    if tile.codec_name != "libtiff":
        return tile
    samples, *others = tile.args
    return tile._replace(args=(_BIG_ENDIAN.sub(r"\1N\2", samples), *others))


def _num_needed(tags: Any) -> int:
    """Return of how many strips or tiles an image is made; 0 if its tags do not say."""
    width_px, height_px = tags.get(_WIDTH), tags.get(_HEIGHT)  # before it is turned
    is_tiled = _STRIPS not in tags
    across = tags.get(_TILE_WIDTH) if is_tiled else width_px
    down = tags.get(_TILE_HEIGHT) if is_tiled else tags.get(_ROWS_PER_STRIP, height_px)
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANES) == _ONE_BEHIND_THE_OTHER else 1
    numbers = (width_px, height_px, across, down, planes)
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        return 0
    return -(-width_px // across) * -(-height_px // down) * planes


def _lies_in_deep_planes(tags: Any) -> bool:
    return (
        tags.get(_PLANES) == _ONE_BEHIND_THE_OTHER
        and tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
        and max(np.ravel(tags.get(_BITS, 1)), default=1) > 8
    )
