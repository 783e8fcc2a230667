"""What is done to a training image: crop, flip and, where set, a mild affine warp (ALIGN §5).

Every draw is a function of the position (`order.draws_at`). An image is augmented alike in a run
that is interrupted and resumed, and on any number of ranks.

Shape suffixes:
    B  pairs
    R  side of a resized image
    S  side of a cropped image
    C  colors
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor

from openalign.train.config import Augmentation
from openalign.train.data.order import Positions, draws_at
from openalign.train.data.preprocess import Pixels, to_tensor

Draws = npt.NDArray[np.float64]

_TOP, _LEFT, _FLIP, _TURN, _ZOOM, _STRETCH, _DOWN, _RIGHT = range(8)
"""Which draw decides what; every position has all eight."""


def augment(
    images_BRRC: Pixels,
    positions: Positions,
    *,
    crop_px: int,
    augmentation: Augmentation,
    seed: int,
) -> Tensor:
    """Return `[B, C, S, S]` in [-1, 1], channels last in memory."""
    draws = draws_at(positions, num_draws=8, seed=seed)
    flips = (draws[:, _FLIP] < 0.5) & augmentation.horizontal_flip
    margin_px = images_BRRC.shape[1] - crop_px
    if augmentation.random_crop:
        corners = np.floor(draws[:, [_TOP, _LEFT]] * (margin_px + 1)).astype(np.int64)
    else:
        corners = np.full((len(draws), 2), margin_px // 2)
    if augmentation.warps:
        resize_px = images_BRRC.shape[1]
        middles, part = (2.0 * corners + crop_px) / resize_px - 1.0, crop_px / resize_px
        matrices = _matrices(draws, flips, middles, part, augmentation)
        return _warp(to_tensor(images_BRRC), matrices, crop_px)
    return to_tensor(_crop(images_BRRC, corners, flips, crop_px))


def _crop(
    images_BRRC: Pixels, corners: npt.NDArray[np.int64], flips: npt.NDArray[np.bool_], crop_px: int
) -> Pixels:
    size = (len(images_BRRC), crop_px, crop_px, images_BRRC.shape[3])
    crops_BSSC = np.empty(size, dtype=np.uint8)
    for number, ((top, left), flip) in enumerate(zip(corners.tolist(), flips, strict=True)):
        crop = images_BRRC[number, top : top + crop_px, left : left + crop_px]
        crops_BSSC[number] = crop[:, ::-1] if flip else crop
    return crops_BSSC


def _matrices(
    draws: Draws,
    flips: npt.NDArray[np.bool_],
    middles: Draws,
    part: float,
    augmentation: Augmentation,
) -> Tensor:
    """Return `[B, 2, 3]`: where in the image each point of the crop comes from.

    Coordinates run from -1 to 1; `middles` are the crops' (down, right), `part` is the crop's
    share of the image's side.
    """
    signed = 2.0 * draws - 1.0
    angle = signed[:, _TURN] * math.radians(augmentation.rotation_degrees)
    zoom = 1.0 + signed[:, _ZOOM] * augmentation.scale
    stretch = np.exp(signed[:, _STRETCH] * augmentation.stretch)
    cos, sin = np.cos(angle) * zoom * part, np.sin(angle) * zoom * part
    side = np.where(flips, -1.0, 1.0)
    # A shift is a share of the side, which is 2 in these coordinates.
    down = middles[:, 0] + 2.0 * signed[:, _DOWN] * augmentation.shift
    right = middles[:, 1] + 2.0 * signed[:, _RIGHT] * augmentation.shift
    across = np.stack([cos * stretch * side, -sin, right], axis=1)
    along = np.stack([sin * side, cos / stretch, down], axis=1)
    return torch.from_numpy(np.stack([across, along], axis=1).astype(np.float32))


def _warp(pixels: Tensor, matrices: Tensor, crop_px: int) -> Tensor:
    size = [len(pixels), pixels.shape[1], crop_px, crop_px]
    grid = F.affine_grid(matrices, size, align_corners=False)
    warped = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return warped.contiguous(memory_format=torch.channels_last)
