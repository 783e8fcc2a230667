"""What is done to a training image: crop, flip and, where set, a mild affine warp (ALIGN §5).

Every draw is a function of the position (`order.draws_at`). An image is augmented alike in a run
that is interrupted and resumed, and on any number of ranks.

Shape suffixes:
    B  pairs
    R  side of a resized image
    S  side of a cropped image
    H  rows, W  columns: R where images are warped, else S
    C  colors
"""

# ruff: noqa: N803  # capitals are shape suffixes

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor

from openalign.train.config import Augmentation
from openalign.train.data.order import Positions, draws_at
from openalign.train.data.preprocess import Pixels

Draws = npt.NDArray[np.float64]

_TOP, _LEFT, _FLIP, _TURN, _ZOOM, _STRETCH, _DOWN, _RIGHT = range(8)
"""Which draw decides what; every position has all eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """What of their images the pairs at some positions show."""

    crop_px: int
    corners: list[tuple[int, int]]
    """Top and left of the crops."""

    flips: list[bool]
    warps: Tensor | None
    """`[B, 2, 3]`: where in its image each point of a crop comes from, mirrored or not; None where
    corners and flips say all."""

    def put(self, out_BHWC: Tensor, number: int, image_RRC: Pixels) -> None:
        """Put what a pair shows of an image into its place: the crop, or what is to be warped."""
        image = torch.from_numpy(image_RRC)
        if self.warps is None:
            (top, left), side_px = self.corners[number], self.crop_px
            image = image[top : top + side_px, left : left + side_px]
            image = image.flip(1) if self.flips[number] else image
        out_BHWC[number].copy_(image)


def draw_cuts(
    positions: Positions, *, resize_px: int, crop_px: int, augmentation: Augmentation, seed: int
) -> Cuts:
    """Return what the pairs at positions show of their images."""
    draws = draws_at(positions, num_draws=8, seed=seed)
    flips = (draws[:, _FLIP] < 0.5) & augmentation.horizontal_flip
    margin_px = resize_px - crop_px
    if augmentation.random_crop:
        corners = np.floor(draws[:, [_TOP, _LEFT]] * (margin_px + 1)).astype(np.int64)
    else:
        corners = np.full((len(draws), 2), margin_px // 2)
    warps = None
    if augmentation.warps:
        middles, part = (2.0 * corners + crop_px) / resize_px - 1.0, crop_px / resize_px
        warps = _matrices(draws, flips, middles, part, augmentation)
    return Cuts(
        crop_px=crop_px,
        corners=[(top, left) for top, left in corners.tolist()],
        flips=flips.tolist(),
        warps=warps,
    )


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


def warp(pixels: Tensor, warps_B23: Tensor, crop_px: int) -> Tensor:
    """Return crops `[B, C, S, S]` of whole images `[B, C, R, R]`, channels last in memory."""
    size = [len(pixels), pixels.shape[1], crop_px, crop_px]
    grid = F.affine_grid(warps_B23, size, align_corners=False)
    warped = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return warped.contiguous(memory_format=torch.channels_last)
