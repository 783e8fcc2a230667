"""Samples of any depth to eight bits, and the transparency that goes by a sample's value.

White is the largest value of the smallest of 8, 16 and 32 bits that holds all values of an image,
because files keep few bits in wide samples. Of floats it is 1 if none is above. The low bits of
whole numbers are dropped, floats are rounded.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from openalign.images import png_chunks
from openalign.images.headers import open_header

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
_UNSIGNED = 1
_WHITES = (1.0, 255.0, 65535.0, 4294967295.0)
"""The values that may be white among floats."""


def is_deep(image: Image.Image) -> bool:
    """Tell whether an image is gray in samples of more than eight bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_gray(image: Image.Image) -> Image.Image:
    """Return a deep gray image, whose pixels are loaded, in mode L, or LA if some are transparent.

    Values below 0, and floats that are no numbers, are black.
    """
    values = np.asarray(image)
    tags = cast("dict[int, Any]", getattr(image, "tag_v2", {}))  # only a TIFF has them
    if image.mode == "F":
        grays = _floats(values)
    elif image.mode == "I":
        unsigned = _tag(tags, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED
        grays = _integers(values.view(np.uint32) if unsigned else values)
    else:
        grays = _high_byte(values, _tag(tags, _BITS_PER_SAMPLE, 16))
    if tags and _tag(tags, _PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
        grays = 255 - grays
    gray = Image.fromarray(grays)
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return gray
    return Image.merge("LA", (gray, _opaque(values != transparent)))


def to_rgba(image: Image.Image, content: bytes) -> Image.Image:
    """Return a loaded PNG in which one color is transparent, in mode RGBA.

    Pillow compares the high bytes of 16 bits a channel with that color; here all bits count.
    """
    if _bits_of(content) != 16:
        return image.convert("RGBA")
    values = np.asarray(image).astype(np.uint16) << 8 | np.asarray(_low_bytes(content))
    rgba = image.convert("RGB")
    rgba.putalpha(_opaque((values != np.array(image.info["transparency"])).any(axis=2)))
    return rgba


def _low_bytes(content: bytes) -> Image.Image:
    """Return the low bytes of a PNG of 16 bits a channel.

    Pillow takes the high bytes. Told that the other byte comes first, it takes the low ones.
    """
    image: Any = open_header(content)
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image


def transparent_gray(content: bytes, value: int) -> int:
    """Return the gray of eight bits that stands for a value that a gray PNG calls transparent."""
    return value * 255 // ((1 << _bits_of(content)) - 1)


def _bits_of(content: bytes) -> int:
    header = png_chunks.read_header(content)
    return header.bits if header is not None else 8


def _integers(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    values = np.maximum(values, 0)
    largest = int(values.max())
    return _high_byte(values, next(bits for bits in (8, 16, 32) if largest >> bits == 0))


def _high_byte(values: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    return (values >> (bits - 8)).astype(np.uint8)


def _floats(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    largest = float(values[np.isfinite(values)].max(initial=0.0))
    white = next((each for each in _WHITES if largest <= each), largest)
    return np.rint(np.clip(values, 0.0, white) * (255.0 / white)).astype(np.uint8)


def _opaque(visible: npt.NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(visible.astype(np.uint8) * np.uint8(255))


def _tag(tags: dict[int, Any], number: int, otherwise: int) -> int:
    value = tags.get(number, otherwise)
    return int(value[0] if isinstance(value, tuple) else value)
