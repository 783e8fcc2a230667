"""The images of a batch as bytes, from which floats are made on the device that trains.

Bytes are a quarter of floats, in memory and on their way to the device. Floats are made for the
rows of one forward pass at a time.

Shape suffixes:
    B  pairs on this rank
    b  pairs of one forward pass
    H  rows, W  columns: those of the crop or, where images are warped, of the whole resized image
    C  colors
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from openalign.train.data.augment import warp
from openalign.train.data.preprocess import on_device, with_colors


class PixelRows(Protocol):
    """Pixels as the image tower takes them, `[b, C, S, S]`, by rows; a tensor of them is one."""

    def to(self, device: torch.device, *, non_blocking: bool) -> Self:
        """Return the same on a device."""
        ...

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Return the pixels of some rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelBatch:
    """Images as bytes; indexing it makes fp32 pixels, channels last in memory."""

    images: Tensor
    """`[B, H, W, C]`, uint8."""

    crop_px: int

    warps: Tensor | None
    """`[B, 2, 3]`: where in its image each point of a crop comes from; None where it is a crop."""

    color_scaling: Tensor | None
    """See `Preprocess.color_scaling`."""

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "PixelBatch":
        """Return the same on a device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=non_blocking)

        return PixelBatch(
            images=self.images.to(device, non_blocking=non_blocking),
            crop_px=self.crop_px,
            warps=moved(self.warps),
            color_scaling=moved(self.color_scaling),
        )

    def __getitem__(self, rows: slice, /) -> Tensor:
        pixels = on_device(self.images[rows])
        if self.warps is not None:
            pixels = warp(pixels, self.warps[rows], self.crop_px)
        return with_colors(pixels, self.color_scaling)
