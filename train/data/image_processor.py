"""Hugging Face's `EfficientNetImageProcessor`: every option of it, as its PIL back end does it.

An image is resized, then its middle is cut out, and then each color value is replaced by a number
that depends on nothing but the value and its channel: rescaled, shifted, normalized. These last
steps are a table of 256 numbers a channel, worked out once by the library's own formulas.

Shape suffixes:
    B  images
    H  rows, W  columns of a prepared image
    C  colors: red, green, blue
    V  values of a color: 256
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from openalign.errors import InputError
from openalign.images import decoding
from openalign.images.decoding import JpegScales, Policy
from openalign.images.headers import ImageError

Pixels = npt.NDArray[np.uint8]

_MAX_PIXELS = 1 << 26
"""A long image is refused if it becomes larger than this when its shorter side is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProcessor:
    """What an image goes through, by the library's names and with the library's defaults."""

    do_resize: bool = True
    size: tuple[int, int] | int = (346, 346)
    """Height and width in pixels, or the length of the shorter side."""

    resample: int = 3
    """Pillow's number of the filter; 2 is bilinear, 3 bicubic."""

    do_center_crop: bool = False
    crop_size: tuple[int, int] = (289, 289)
    """Height and width in pixels. A smaller image lies in the middle of zeros."""

    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    rescale_offset: bool = False
    """Whether 1 is subtracted after rescaling."""

    do_normalize: bool = True
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    include_top: bool = True
    """Whether the result is divided by `image_std` once more."""

    policy: Policy = Policy.PROCESSOR
    """How an image is decoded."""

    @classmethod
    def of_paper(cls, side_px: int, policy: Policy) -> "ImageProcessor":
        """Return what the paper's images of a side go through (§5), with `align-base`'s values.

        A resize to 346/289 of the side, its middle, and colors from -1 to 1.
        """
        whole_px = round(side_px * 346 / 289)
        return cls(
            size=(whole_px, whole_px),
            resample=2,
            do_center_crop=True,
            crop_size=(side_px, side_px),
            rescale_factor=1 / 127.5,
            rescale_offset=True,
            do_normalize=False,
            include_top=False,
            policy=policy,
        )

    @property
    def output_px(self) -> tuple[int, int]:
        """Height and width of every prepared image."""
        if self.do_center_crop:
            return self.crop_size
        assert self.do_resize, "`read_image_processor` refuses what would have no common size"
        assert isinstance(self.size, tuple)
        return self.size

    def pixels(self, contents: Sequence[bytes]) -> Tensor:
        """Return image files as the image tower takes them: fp32 `[B, C, H, W]`, channels last.

        Raises:
            InputError: one of them is not an image.
        """
        images_BHWC = np.stack([self.prepared(content) for content in contents])
        table_CV = self.table()
        out_BHWC = np.empty(images_BHWC.shape, dtype=np.float32)
        for channel, table_V in enumerate(table_CV):
            out_BHWC[..., channel] = table_V[images_BHWC[..., channel]]
        return torch.from_numpy(out_BHWC).permute(0, 3, 1, 2)

    def prepared(self, content: bytes) -> Pixels:
        """Return an image file resized and cropped, `[H, W, C]`, before its values are scaled.

        Raises:
            InputError: it is not an image, or would become too large a one.
        """
        min_side_px = 2 * max(self.size if isinstance(self.size, tuple) else (self.size,))
        try:
            image = decoding.decode(
                content,
                min_side_px=min_side_px if self.do_resize else 0,
                scales=JpegScales.HALVES,
                policy=self.policy,
            )
        except ImageError as error:
            raise InputError(f"an image cannot be decoded: {error}") from error
        if self.do_resize:
            height_px, width_px = self._resized(image.height, image.width)
            image = image.resize((width_px, height_px), Image.Resampling(self.resample))
        pixels = np.asarray(image, dtype=np.uint8)
        return center_crop(pixels, *self.crop_size) if self.do_center_crop else pixels

    def table(self) -> npt.NDArray[np.float32]:
        """Return what each value of each color becomes, `[C, V]`.

        Each step rounds to fp32 where the library does, so that the numbers are the same.
        """
        table_CV = np.tile(np.arange(256, dtype=np.float32), (3, 1))
        if self.do_rescale:
            table_CV = (table_CV.astype(np.float64) * self.rescale_factor).astype(np.float32)
            table_CV = table_CV - np.float32(1) if self.rescale_offset else table_CV
        std_C1 = np.array(self.image_std, dtype=np.float32)[:, np.newaxis]
        if self.do_normalize:
            mean_C1 = np.array(self.image_mean, dtype=np.float32)[:, np.newaxis]
            table_CV = (table_CV - mean_C1) / std_C1
        return table_CV / std_C1 if self.include_top else table_CV

    def _resized(self, height_px: int, width_px: int) -> tuple[int, int]:
        if isinstance(self.size, tuple):
            return self.size
        longer_px = int(self.size * max(height_px, width_px) / min(height_px, width_px))
        if longer_px * self.size > _MAX_PIXELS:
            raise InputError(
                f"an image of {width_px} x {height_px} pixels becomes {longer_px} pixels long when "
                f"its shorter side is made {self.size}"
            )
        return (longer_px, self.size) if width_px <= height_px else (self.size, longer_px)


def center_crop(image_HWC: Pixels, height_px: int, width_px: int) -> Pixels:
    """Return the middle of an image. Where the image ends, zeros are added.

    Of an odd margin the smaller half is above and left when cropped, below and right when added.
    """
    height, width, channels = image_HWC.shape
    top, left = (height - height_px) // 2, (width - width_px) // 2
    if top >= 0 and left >= 0:
        return image_HWC[top : top + height_px, left : left + width_px]
    canvas = np.zeros((max(height, height_px), max(width, width_px), channels), dtype=np.uint8)
    above, before = math.ceil((len(canvas) - height) / 2), math.ceil((canvas.shape[1] - width) / 2)
    canvas[above : above + height, before : before + width] = image_HWC
    top, left = top + above, left + before
    return canvas[top : top + height_px, left : left + width_px]
