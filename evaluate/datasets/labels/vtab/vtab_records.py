"""Takes VTAB's slices from what TFDS prepares: the prefixes and labels of task_adaptation.

    <path>/clevr/3.1.0/dataset_info.json                        names its splits and their shards
    <path>/clevr/3.1.0/clevr-train.tfrecord-00000-of-00128      records in the order of TFDS

`train800` is the beginning of `train`. `val200` is the beginning of what task_adaptation keeps for
validation, by a share of `train` or in a split of its own. Other versions of TFDS's data sets hold
their images in another order, and then other images are in the slices.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.images import ImagePlace
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import (
    NUM_TRAIN,
    NUM_VAL,
    TEST,
    TRAIN,
    VAL,
    TfdsPart,
    VtabTask,
)
from openalign.evaluate.datasets.reading.pixels import pixels_of, to_png
from openalign.evaluate.datasets.reading.text import read_json
from openalign.evaluate.datasets.reading.tfrecords import Example, read_examples
from openalign.files import storage

_INFO = "dataset_info.json"
_FORM = "TFDS writes dataset_info.json with name, splits and their shardLengths"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class _RecordSplit(msgspec.Struct, frozen=True):
    name: str
    shard_lengths: list[int] = msgspec.field(name="shardLengths", default_factory=list[int])
    template: str = msgspec.field(name="filepathTemplate", default=_TEMPLATE)


class _Info(msgspec.Struct, frozen=True):
    name: str
    splits: list[_RecordSplit]
    file_format: str = msgspec.field(name="fileFormat", default="tfrecord")


_DECODER = msgspec.json.Decoder(_Info, strict=False)  # it writes integers as texts


@dataclass(frozen=True, slots=True)
class BinaryImage:
    """An image whose pixels are 0 or 1, and are meant to be 0 or 255: dSprites'."""

    place: ImagePlace

    @property
    def file(self) -> str:
        """URL of the file that holds it."""
        return self.place.file

    def read(self) -> bytes:
        """Return the image as a PNG in black and white.

        Raises:
            InputError: it is not there, is no image, or has other values.
        """
        pixels = pixels_of(self.place)
        if pixels.max() > 1:
            raise InputError(f"{self.file}: an image of dSprites has values above 1")
        return to_png(pixels * 255)


def builder_folder(path: str, task: VtabTask) -> str | None:
    """Return the folder of a task's TFDS data set; the highest of the versions that fit."""
    above = storage.join(path, task.tfds)
    if not storage.is_folder(above):
        return None
    versions = [name for name in storage.list_folder(above)[0] if _VERSION.fullmatch(name)]
    fitting = [name for name in versions if f"{name}.".startswith(f"{task.tfds_version}.")]
    if not fitting:
        return None
    newest = max(fitting, key=lambda name: tuple(int(part) for part in name.split(".")))
    return storage.join(above, newest)


def read_slices(path: str, task: VtabTask) -> dict[str, list[tuple[ImagePlace, int]]]:
    """Return where each image of `train800`, `val200` and `test` lies, and its class.

    Raises:
        InputError: a file of TFDS's is missing or broken, or a record has no image or label.
    """
    folder = builder_folder(path, task)
    assert folder is not None, "the caller looks whether it is there"
    url = storage.join(folder, _INFO)
    info = read_json(url, _DECODER, form=_FORM)
    if info.file_format != "tfrecord":
        raise InputError(
            f"{url}: its records are {info.file_format}, and only tfrecord can be read",
            hint="prepare it with file_format='tfrecord', which is TFDS's default",
        )
    labelling = _LABELLINGS.get(task.name, _of_one("label"))
    parts = {
        TRAIN: (TfdsPart("train"), NUM_TRAIN),
        VAL: (task.val, NUM_VAL),
        TEST: (task.test, None),
    }
    return {
        split: [
            (_image(task, record), _label(task, record, labelling))
            for record in _slice(folder, info, part, limit, labelling.features)
        ]
        for split, (part, limit) in parts.items()
    }


def _slice(
    folder: str, info: _Info, part: TfdsPart, limit: int | None, features: tuple[str, ...]
) -> Iterator["_Record"]:
    """Yield the records of a part of a split, at most `limit`."""
    split = next((each for each in info.splits if each.name == part.split), None)
    if split is None:
        raise InputError(
            f"{storage.join(folder, _INFO)}: has no split `{part.split}`",
            hint=f"it has {', '.join(each.name for each in info.splits)}",
        )
    lengths = split.shard_lengths
    first = sum(lengths) * part.from_percent // 100
    stop = sum(lengths) if limit is None else min(first + limit, sum(lengths))
    before = 0
    for number, length in enumerate(lengths):
        begin, end = max(first - before, 0), min(stop - before, length)
        if begin < end:
            url = storage.join(folder, _file_name(info, split, number))
            num_read = 0
            for example in read_examples(url, ("image", *features), first=begin, stop=end):
                yield _Record(url, begin + num_read, example)
                num_read += 1
            if num_read != end - begin:
                raise InputError(
                    f"{url}: has {begin + num_read} records, and {_INFO} announces {length}",
                    hint="the file is not whole; prepare the data set again",
                )
        before += length


def _file_name(info: _Info, split: _RecordSplit, number: int) -> str:
    shard = f"{number:05d}-of-{len(split.shard_lengths):05d}"
    values = {
        "DATASET": info.name,
        "SPLIT": split.name,
        "FILEFORMAT": info.file_format,
        "SHARD_X_OF_Y": shard,
    }
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), split.template)


@dataclass(frozen=True, slots=True)
class _Record:
    url: str
    number: int
    example: Example

    def integers(self, feature: str) -> list[int]:
        """Return a feature of integers; none where a sequence is empty."""
        return self.example.integers.get(feature, [])

    def integer(self, feature: str) -> int:
        """Return a feature of one integer. Raises InputError."""
        found = self.integers(feature)
        if len(found) != 1:
            raise InputError(
                f"{self.url}: record {self.number} has {len(found)} values of `{feature}`, not one"
            )
        return found[0]

    def thirds(self, feature: str) -> list[float]:
        """Return the third of each three numbers: the depth of each object's coordinates."""
        return self.example.floats.get(feature, [])[2::3]


def _image(task: VtabTask, record: _Record) -> ImagePlace:
    place = record.example.places.get("image")
    if place is None:
        raise InputError(f"{record.url}: record {record.number} has no image")
    return BinaryImage(place) if task.tfds == "dsprites" else place


@dataclass(frozen=True, slots=True)
class _Labelling:
    """How a class is made of a record."""

    features: tuple[str, ...]
    """What is read of the record."""

    label: Callable[[_Record], int]


def _of_one(feature: str) -> _Labelling:
    return _Labelling((feature,), lambda record: record.integer(feature))


def _label(task: VtabTask, record: _Record, labelling: _Labelling) -> int:
    label = labelling.label(record)
    if not 0 <= label < task.num_classes:
        raise InputError(
            f"{record.url}: record {record.number} is of class {label}, and {task.title} has "
            f"{task.num_classes} classes"
        )
    return label


def _clevr_count(record: _Record) -> int:
    """Return the number of objects, of which there are at least three."""
    return len(record.integers("objects/size")) - 3


def _clevr_distance(record: _Record) -> int:
    """Return the class of the nearest object's depth in the image."""
    depths = record.thirds("objects/pixel_coords")
    if not depths:
        raise InputError(f"{record.url}: record {record.number} has no objects")
    return _steps_below(min(depths), (8.0, 8.5, 9.0, 9.5, 10.0))


def _kitti_distance(record: _Record) -> int:
    """Return the class of the nearest vehicle's distance in meters; the last where there is none.

    A vehicle is a car, a van or a truck, which are the first three types.
    """
    depths = record.thirds("objects/location")
    types = record.integers("objects/type")
    if len(types) != len(depths):
        raise InputError(
            f"{record.url}: record {record.number} has {len(types)} types of objects, and "
            f"{len(depths)} locations"
        )
    vehicles = [depth for depth, type_ in zip(depths, types, strict=True) if type_ < 3]
    return _steps_below(min(vehicles, default=1000.0), (8.0, 20.0, 999.0))


def _dsprites_location(record: _Record) -> int:
    """Return the horizontal position: 32 places, two a class."""
    return record.integer("label_x_position") // 2


def _dsprites_orientation(record: _Record) -> int:
    """Return the orientation: 40 angles, two and a half a class."""
    return record.integer("label_orientation") * 2 // 5


def _steps_below(value: float, steps: tuple[float, ...]) -> int:
    """Return how many steps lie below a value; one that it is equal to does not."""
    return sum(step < value for step in steps)


_LABELLINGS = {
    "clevr_count": _Labelling(("objects/size",), _clevr_count),
    "clevr_distance": _Labelling(("objects/pixel_coords",), _clevr_distance),
    "kitti_distance": _Labelling(("objects/location", "objects/type"), _kitti_distance),
    "dsprites_location": _Labelling(("label_x_position",), _dsprites_location),
    "dsprites_orientation": _Labelling(("label_orientation",), _dsprites_orientation),
    "smallnorb_azimuth": _of_one("label_azimuth"),
    "smallnorb_elevation": _of_one("label_elevation"),
}
"""The labelling of each task that has a rule of its own; the others take `label`."""
