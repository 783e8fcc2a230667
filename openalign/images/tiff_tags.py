"""TIFFs that Pillow reads wrongly, and how they are opened instead.

Without an error, it takes bytes for samples where the planes of wide samples lie behind each other
uncompressed, leaves pixels black whose strips are missing, and makes a palette of small values
black.
"""

import io
from types import FunctionType
from typing import Any

import numpy as np
from PIL import Image, ImagePalette, TiffImagePlugin

_WIDTH, _HEIGHT = 256, 257
_BITS, _COMPRESSION, _STRIPS, _SAMPLES, _ROWS_PER_STRIP = 258, 259, 273, 277, 278
_PLANES, _PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 284, 320, 322, 323, 324
_UNCOMPRESSED = 1
_ONE_BEHIND_THE_OTHER = 2


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
    palette = tags.get(_PALETTE)
    if image.mode == "P" and palette and max(palette) < 256:  # libtiff takes such values so, too
        image.palette = ImagePalette.raw("RGB;L", bytes(palette))
    return image


def _num_pieces(tags: Any) -> int:
    return len(tags.get(_STRIPS) or tags.get(_TILES) or ())


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
