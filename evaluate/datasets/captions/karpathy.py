"""Karpathy's JSON, the format of Flickr30K and MSCOCO: settings, and what the reader is asked.

The reading lies in `karpathy_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.caption_limits import (
    MaxCaptions,
    check_max_captions,
    most_captions,
)
from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.settings.fields import location, renamed

_NAME = "the key under `benchmarks:` is the name: `benchmarks: {flickr30k: {kind: karpathy, ...}}`"
_TASK = "a task says it: `evaluate.tasks: [{kind: retrieval, benchmark: flickr30k, split: test}]`"


@renamed({"name": _NAME, "split": _TASK, "gallery_splits": _TASK})
@dataclass(frozen=True, slots=True, kw_only=True)
class KarpathyDataset:
    """An image-caption data set in Karpathy's JSON, as Flickr30K and MSCOCO have it (§5.1)."""

    kind: Literal["karpathy"] = "karpathy"
    """Which format: Karpathy's JSON."""

    path: str = location()
    """The JSON file, a path or URL."""

    images: str = location("")
    """Folder or URL of the images. When empty, the JSON's own folder, or a usual one near it."""

    max_captions: MaxCaptions = 5
    """Keep an image's first captions only, or `all`; five is the habit that makes numbers
    comparable."""

    def __post_init__(self) -> None:
        check_max_captions(self.max_captions)


def image_folder(dataset: KarpathyDataset) -> str:
    """Return the folder of the images: `images`, or where the first of them is found."""
    from openalign.evaluate.datasets.captions import karpathy_reading

    return dataset.images or karpathy_reading.image_folder(dataset.path)


def read(dataset: KarpathyDataset) -> Dataset:
    """Return every image with its captions, in the file's order.

    Raises:
        InputError: the file is not Karpathy's JSON, or names an image twice.
    """
    from openalign.evaluate.datasets.captions import karpathy_reading

    return karpathy_reading.read(
        dataset.path, folder=image_folder(dataset), max_captions=most_captions(dataset.max_captions)
    )


def recognize(_: str, path: str) -> KarpathyDataset | None:
    """Return settings for a JSON file in Karpathy's form, or a folder with one `dataset*.json`."""
    from openalign.evaluate.datasets.captions import karpathy_reading
    from openalign.evaluate.datasets.reading.folders import glance, only_file

    file = only_file(path, "dataset*.json")
    return KarpathyDataset(path=file) if karpathy_reading.is_karpathys(glance(file)) else None


KIND = DatasetKind(
    settings=KarpathyDataset,
    title="Karpathy's JSON: Flickr30K, MSCOCO and Flickr8K with the usual splits",
    page="datasets.md",
    names=("flickr30k", "mscoco", "flickr8k"),
    tasks=("retrieval",),
    sizes={
        "flickr30k": {"train": 29_000, "val": 1_014, "test": 1_000},
        "mscoco": {"train": 82_783, "restval": 30_504, "val": 5_000, "test": 5_000},
        "flickr8k": {"train": 6_000, "val": 1_000, "test": 1_000},
    },
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
