"""Karpathy's JSON, the format of Flickr30K and MSCOCO: settings, and what the reader is asked.

The reading lies in `karpathy_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.settings.fields import location, renamed
from openalign.settings.limits import positive

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
    """Folder or URL of the images; the JSON's own folder when empty."""

    max_captions: int = 5
    """Keep an image's first captions only; five is the habit that makes numbers comparable."""

    def __post_init__(self) -> None:
        positive(max_captions=self.max_captions)


def image_folder(dataset: KarpathyDataset) -> str:
    """Return the folder of the images: `images`, or else that of the JSON file."""
    return dataset.images or dataset.path.rpartition("/")[0] or "."


def read(dataset: KarpathyDataset) -> Dataset:
    """Return every image with its captions, in the file's order.

    Raises:
        InputError: the file is not Karpathy's JSON, or names an image twice.
    """
    from openalign.evaluate.datasets import karpathy_reading

    return karpathy_reading.read(
        dataset.path, folder=image_folder(dataset), max_captions=dataset.max_captions
    )


def recognize(_: str, path: str) -> KarpathyDataset | None:
    """Return settings for a file in Karpathy's form, which is a JSON file of that name."""
    name = path.rpartition("/")[2]
    is_karpathys = name.startswith("dataset") and name.endswith(".json")
    return KarpathyDataset(path=path) if is_karpathys else None


KIND = DatasetKind(
    settings=KarpathyDataset,
    title="Karpathy's JSON: Flickr30K, MSCOCO and Flickr8K with the usual splits",
    page="evaluate.md",
    names=("flickr30k", "mscoco", "flickr8k"),
    tasks=("retrieval",),
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
