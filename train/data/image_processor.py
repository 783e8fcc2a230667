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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from msgspec import Meta
from PIL import Image
from torch import Tensor

from openalign.errors import InputError
from openalign.files.folder import Folder, as_record
from openalign.images import decoding
from openalign.images.decoding import JpegScales, Policy
from openalign.images.headers import ImageError
from openalign.train.saved_files import PROCESSOR_FILES

Pixels = npt.NDArray[np.uint8]

TYPES = (
    "EfficientNetImageProcessor",
    "EfficientNetImageProcessorFast",
    "EfficientNetImageProcessorPil",
)
"""The class by the names that versions of the library give it."""

_MAX_PIXELS = 1 << 26
"""An image that becomes larger than this, because it is a thousand times as wide as it is high, is
refused."""

_MAX_SIDE_PX = 4096


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


# Reading ------------------------------------------------------------------------------------------


class _Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options as the library saves them; null is the default."""

    do_resize: bool | None = None
    size: int | list[int] | dict[str, int] | None = None
    default_to_square: bool | None = None
    resample: Annotated[int, Meta(ge=0, le=5)] | None = None
    do_center_crop: bool | None = None
    crop_size: int | list[int] | dict[str, int] | None = None
    do_rescale: bool | None = None
    rescale_factor: Annotated[float, Meta(gt=0.0, le=1e6)] | None = None
    rescale_offset: bool | None = None
    do_normalize: bool | None = None
    image_mean: float | list[float] | None = None
    image_std: float | list[float] | None = None
    include_top: bool | None = None

    # Without effect on the pixels of an image that is decoded here, in RGB.
    do_convert_rgb: bool | None = None
    processor_class: str | None = None
    feature_extractor_type: str | None = None
    valid_processor_keys: Any = msgspec.field(default=None, name="_valid_processor_keys")
    disable_grouping: bool | None = None
    image_seq_length: int | None = None

    # With the values of `_ALLOWED` only.
    image_processor_type: str | None = None
    do_pad: bool | None = None
    pad_size: Any = None
    data_format: str | None = None
    input_data_format: str | None = None
    device: str | None = None
    return_tensors: str | None = None


_ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "image_processor_type": (None, *TYPES),
    "do_pad": (None, False),
    "pad_size": (None,),
    "data_format": (None, "channels_first"),
    "input_data_format": (None,),
    "device": (None, "cpu"),
    "return_tensors": (None,),
}
_SIZES = "a number, [height, width] or {'height': ..., 'width': ...}"


def read_image_processor(folder: Folder, policy: Policy) -> ImageProcessor:
    """Read the image processor of a model's folder.

    It is a part of `processor_config.json`, or all of `preprocessor_config.json`: the forms of
    newer and of older versions of the library.

    Raises:
        InputError: names the option that is unknown, or whose value is not one that is honored.
    """
    found: dict[str, ImageProcessor] = {}
    for name in PROCESSOR_FILES:
        values = folder.read_json(name, dict[str, Any]) if name in folder.names else {}
        where = folder.url_of(name)
        if name == PROCESSOR_FILES[0]:
            if values.get("auto_map") is not None:
                raise InputError(f"{where}: `auto_map` names code to run, which is not done")
            values = values.get("image_processor")
            where = f"{where}: `image_processor`"
        if values:
            found[name] = _processor(as_record(values, _Options, where=where), where, policy)
    if not found:
        raise InputError(
            f"{folder.url} says nothing about its images: neither "
            f"{' nor '.join(PROCESSOR_FILES)} does",
            hint="save the model's `AlignProcessor` or its image processor into the folder",
        )
    processor, *others = found.values()
    for other in others:
        _check_same(folder, processor, other)
    return processor


def _processor(options: _Options, where: str, policy: Policy) -> ImageProcessor:
    for key, allowed in _ALLOWED.items():
        value = getattr(options, key)
        if value not in allowed:
            choices = ", ".join("absent" if each is None else repr(each) for each in allowed)
            raise InputError(f"{where}: `{key}` must be {choices}, got {value!r}")
    told = {
        field: value
        for field in ImageProcessor.__dataclass_fields__
        if (value := getattr(options, field, None)) is not None
    }
    for key in {"image_mean", "image_std"} & told.keys():
        told[key] = _by_color(told[key], f"{where}: `{key}`", above_zero=key == "image_std")
    if "size" in told:
        as_square = options.default_to_square is not False
        told["size"] = _size(told["size"], f"{where}: `size`", as_square=as_square)
    if "crop_size" in told:
        told["crop_size"] = _size(told["crop_size"], f"{where}: `crop_size`", as_square=True)
        if isinstance(told["crop_size"], int):
            raise InputError(f"{where}: `crop_size` must be {_SIZES}, got {options.crop_size!r}")
    processor = ImageProcessor(**told, policy=policy)
    is_fixed = processor.do_resize and isinstance(processor.size, tuple)
    if not (is_fixed or processor.do_center_crop):
        raise InputError(
            f"{where}: without `do_center_crop` and a `size` of height and width, images would "
            "have no common size, which the image tower needs"
        )
    return processor


def _by_color(value: float | list[float], key: str, *, above_zero: bool) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, list) else (value,) * 3
    if len(values) != 3 or (above_zero and min(values) <= 0.0):
        kind = "numbers above zero" if above_zero else "numbers"
        raise InputError(f"{key} must be a number or 3 {kind}, got {value!r}")
    return values


def _size(value: Any, key: str, *, as_square: bool) -> tuple[int, int] | int:
    """Return height and width, or the length of the shorter side."""
    match value:
        case int():
            sides = (value, value) if as_square else (value,)
        case [height, width]:
            sides = (height, width)
        case {"height": height, "width": width} if len(value) == 2:
            sides = (height, width)
        case {"shortest_edge": side} if len(value) == 1:
            sides = (side,)
        case _:
            sides = ()
    if not sides or not 1 <= min(sides) <= max(sides) <= _MAX_SIDE_PX:
        raise InputError(
            f"{key} must be {_SIZES}, of 1 to {_MAX_SIDE_PX} pixels (or `size` "
            f"{{'shortest_edge': ...}}), got {value!r}"
        )
    return sides if len(sides) == 2 else sides[0]


def _check_same(folder: Folder, first: ImageProcessor, second: ImageProcessor) -> None:
    differing = [
        f"`{key}` is {getattr(first, key)} and {getattr(second, key)}"
        for key in ImageProcessor.__dataclass_fields__
        if getattr(first, key) != getattr(second, key)
    ]
    if differing:
        raise InputError(
            f"{folder.url}: {' and '.join(PROCESSOR_FILES)} contradict each other: "
            + ", ".join(differing),
            hint="remove the one that is wrong; newer versions of the library believe the first, "
            "older ones the second",
        )
