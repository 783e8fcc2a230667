"""The image processor of a model's folder: its options, each honored or refused by name."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from openalign.errors import InputError
from openalign.files.folder import Folder, as_record
from openalign.images.decoding import Policy
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.saved_files import PROCESSOR_FILES

_TYPES = (
    "EfficientNetImageProcessor",
    "EfficientNetImageProcessorFast",
    "EfficientNetImageProcessorPil",
)
"""The class by the names that versions of the library give it."""

_MAX_SIDE_PX = 4096


class _Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options as the library saves them. What is not there is the default; null is not."""

    do_resize: bool | UnsetType | None = UNSET
    size: int | list[int] | dict[str, int] | UnsetType | None = UNSET
    resample: Annotated[int, Meta(ge=0, le=5)] | UnsetType | None = UNSET
    do_center_crop: bool | UnsetType | None = UNSET
    crop_size: int | list[int] | dict[str, int] | UnsetType | None = UNSET
    do_rescale: bool | UnsetType | None = UNSET
    rescale_factor: Annotated[float, Meta(gt=0.0, le=1e6)] | UnsetType | None = UNSET
    rescale_offset: bool | UnsetType | None = UNSET
    do_normalize: bool | UnsetType | None = UNSET
    image_mean: float | list[float] | UnsetType | None = UNSET
    image_std: float | list[float] | UnsetType | None = UNSET
    include_top: bool | UnsetType | None = UNSET

    # How a `size` that is one number is meant.
    default_to_square: bool | None = None

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
    "image_processor_type": (None, *_TYPES),
    "do_pad": (None, False),
    "pad_size": (None,),
    "data_format": (None, "channels_first"),
    "input_data_format": (None,),
    "device": (None, "cpu"),
    "return_tensors": (None,),
}
_NEEDED_BY = {
    "size": ("do_resize",),
    "resample": ("do_resize",),
    "crop_size": ("do_center_crop",),
    "rescale_factor": ("do_rescale",),
    "image_mean": ("do_normalize",),
    "image_std": ("do_normalize", "include_top"),
}
"""The options that are no flags, and the flags that ask for them."""


def read_image_processor(folder: Folder, policy: Policy) -> ImageProcessor | None:
    """Read the image processor of a model's folder; None where the folder says nothing of it.

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
        return None
    processor, *others = found.values()
    for other in others:
        _check_same(folder, processor, other)
    return processor


def _check_allowed(options: _Options, where: str) -> None:
    for key, allowed in _ALLOWED.items():
        value = getattr(options, key)
        if value not in allowed:
            choices = ", ".join("absent" if each is None else repr(each) for each in allowed)
            raise InputError(f"{where}: `{key}` must be {choices}, got {value!r}")


def _processor(options: _Options, where: str, policy: Policy) -> ImageProcessor:
    _check_allowed(options, where)
    said = {
        key: value
        for key in ImageProcessor.__dataclass_fields__
        if (value := getattr(options, key, UNSET)) is not UNSET
    }
    # For the library a flag that is null is off, and any other option that is null has no value.
    flags = {key: value is True for key, value in said.items() if key not in _NEEDED_BY}
    values = {key: value for key, value in said.items() if key in _NEEDED_BY and value is not None}
    as_square = options.default_to_square is not False
    told: dict[str, Any] = flags | _by_number(values, where, as_square=as_square)
    processor = ImageProcessor(**told, policy=policy)
    for key in said.keys() - told.keys():
        for flag in _NEEDED_BY[key]:
            if getattr(processor, flag):
                raise InputError(f"{where}: `{key}` is null, and `{flag}` needs it")
    is_fixed = processor.do_resize and isinstance(processor.size, tuple)
    if not (is_fixed or processor.do_center_crop):
        raise InputError(
            f"{where}: without `do_center_crop` and a `size` of height and width, images would "
            "have no common size, which the image tower needs"
        )
    return processor


def _by_number(values: Mapping[str, Any], where: str, *, as_square: bool) -> dict[str, Any]:
    """Return options that are no flags, each in one form."""
    told = dict(values)
    for key in {"image_mean", "image_std"} & told.keys():
        told[key] = _by_color(told[key], f"{where}: `{key}`", above_zero=key == "image_std")
    for key in {"size", "crop_size"} & told.keys():
        told[key] = _size(told[key], key, where, as_square=as_square or key == "crop_size")
    return told


def _by_color(value: float | list[float], key: str, *, above_zero: bool) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, list) else (value,) * 3
    if len(values) != 3 or (above_zero and min(values) <= 0.0):
        kind = "numbers above zero" if above_zero else "numbers"
        raise InputError(f"{key} must be a number or 3 {kind}, got {value!r}")
    return values


def _size(value: Any, key: str, where: str, *, as_square: bool) -> tuple[int, int] | int:
    """Return height and width, or the length of the shorter side, which only `size` may give."""
    match value:
        case int():
            sides = (value, value) if as_square else (value,)
        case [height, width]:
            sides = (height, width)
        case {"height": height, "width": width} if len(value) == 2:
            sides = (height, width)
        case {"shortest_edge": side} if len(value) == 1 and key == "size":
            sides = (side,)
        case _:
            sides = ()
    if not sides or not 1 <= min(sides) <= max(sides) <= _MAX_SIDE_PX:
        forms = "a number, [height, width] or {'height': ..., 'width': ...}"
        forms += " or {'shortest_edge': ...}" if key == "size" else ""
        raise InputError(
            f"{where}: `{key}` must be {forms}, of 1 to {_MAX_SIDE_PX} pixels, got {value!r}"
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
