"""Labeled images to pixels: Inception's random crop and flip, and one central crop (ALIGN §5.3).

Every draw is a function of the position (`order.draws_at`), as in training on pairs.

Shape suffixes:
    B  images
    S  side of a crop
    C  colors
"""

# ruff: noqa: N806  # capitals are shape suffixes

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from openalign.errors import InputError
from openalign.images import decoding
from openalign.images.headers import ImageError
from openalign.train.data.order import Positions, draws_at

CENTRAL_SHARE = 0.875
"""Side of the central crop, as a share of the image's shorter side."""

_AREA = (0.08, 1.0)
_LOG_ASPECT = (math.log(3 / 4), math.log(4 / 3))
"""Ranges of Inception's crop: its share of the area, and the logarithm of width over height."""

_TRIES = 10
_DRAWS_A_TRY = 4
_NUM_DRAWS = 1 + _TRIES * _DRAWS_A_TRY

Draws = npt.NDArray[np.float64]


class Box(NamedTuple):
    """A part of an image, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def random_box(width_px: int, height_px: int, draws: Draws) -> Box:
    """Return Inception's random crop: 8 to 100 % of the area, between 3:4 and 4:3.

    `draws` holds four numbers in [0, 1) for each of ten tries: area, aspect, left, top. A crop
    that does not fit is tried anew; if none fits, it is the largest central one of a fitting shape.
    """
    for area, aspect, left, top in draws.reshape(_TRIES, _DRAWS_A_TRY).tolist():
        pixels = width_px * height_px * (_AREA[0] + area * (_AREA[1] - _AREA[0]))
        ratio = math.exp(_LOG_ASPECT[0] + aspect * (_LOG_ASPECT[1] - _LOG_ASPECT[0]))
        wide, high = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < wide <= width_px and 0 < high <= height_px:
            at = int(left * (width_px - wide + 1)), int(top * (height_px - high + 1))
            return Box(at[0], at[1], at[0] + wide, at[1] + high)
    least, most = (math.exp(bound) for bound in _LOG_ASPECT)
    wide = min(width_px, max(1, round(height_px * most)))
    high = min(height_px, max(1, round(width_px / least)))
    return _centered(width_px, height_px, wide, high)


def central_box(width_px: int, height_px: int) -> Box:
    """Return the central square of 0.875 of the shorter side."""
    side = max(1, round(CENTRAL_SHARE * min(width_px, height_px)))
    return _centered(width_px, height_px, side, side)


def training_crops(
    contents: Sequence[bytes], positions: Positions, *, side_px: int, seed: int
) -> npt.NDArray[np.uint8]:
    """Return `[B, S, S, C]`: a random crop of each image, every other one mirrored.

    Raises:
        InputError: one of the contents is no image.
    """
    crops: list[npt.NDArray[np.uint8]] = []
    draws_B = draws_at(positions, num_draws=_NUM_DRAWS, seed=seed)
    for content, draws in zip(contents, draws_B, strict=True):
        image = _decode(content)
        crop = _resized(image, random_box(*image.size, draws[1:]), side_px)
        crops.append(crop[:, ::-1] if draws[0] < 0.5 else crop)
    return np.stack(crops)


def evaluation_crops(contents: Sequence[bytes], *, side_px: int) -> npt.NDArray[np.uint8]:
    """Return `[B, S, S, C]`: the central crop of each image.

    Raises:
        InputError: one of the contents is no image.
    """
    images = [_decode(content) for content in contents]
    return np.stack([_resized(i, central_box(*i.size), side_px) for i in images])


def _centered(width_px: int, height_px: int, wide: int, high: int) -> Box:
    left, top = (width_px - wide) // 2, (height_px - high) // 2
    return Box(left, top, left + wide, top + high)


def _decode(content: bytes) -> Image.Image:
    try:
        return decoding.decode(content)
    except ImageError as error:
        raise InputError(f"an image cannot be decoded: {error}") from error


def _resized(image: Image.Image, box: Box, side_px: int) -> npt.NDArray[np.uint8]:
    # Cut first: a resize of a box would mix in pixels from outside it.
    resized = image.crop(box).resize((side_px, side_px), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)
