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

_BIG = 43
"""The version of a BigTIFF, where Pillow looks for it."""

_VALUE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""By the kind of a tag; others have a byte a value."""

_BYTES = (1, 2, 6, 7)
"""Kinds whose values stay bytes."""

_MOST_VALUES = 1 << 19
"""Of all tags. No image has more strips and tiles, and Pillow takes a second for 200,000."""

_FEW_BYTES = 1 << 26

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


def require_modest_tags(content: bytes) -> None:
    """See, before Pillow reads its header, that a TIFF's tags take no minutes and no gigabytes.

    Pillow copies the values of each tag, and tags may share their bytes.

    Raises:
        OSError: they do.
    """
    num_values = num_bytes = 0
    for kind, count in _counts(content):
        num_bytes += count * _VALUE_BYTES.get(kind, 1)
        num_values += 0 if kind in _BYTES else count
    if num_values > _MOST_VALUES or num_bytes > max(len(content), _FEW_BYTES):
        raise OSError("broken: no image has tags of so many values")


def _counts(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the kinds of the first image's tags and the numbers of their values, as Pillow does."""
    order = ">" if content[:2] == b"MM" else "<"
    is_big = content[2] == _BIG
    at, pointer, length, entry = (8, "Q", "Q", "HHQ8x") if is_big else (4, "I", "H", "HHI4x")
    with suppress(struct.error):  # it is cut off
        (at,) = struct.unpack_from(order + pointer, content, at)
        (num_tags,) = struct.unpack_from(order + length, content, at)
        at += struct.calcsize(order + length)
        for _ in range(num_tags):
            _tag, kind, count = struct.unpack_from(order + entry, content, at)
            yield kind, count
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
