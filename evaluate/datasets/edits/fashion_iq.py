"""FashionIQ: queries that edit images of clothes in words: settings.

The reading lies in `fashion_iq_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class FashionIqDataset:
    """FashionIQ's queries of one split, over dresses, shirts and tops."""

    kind: Literal["fashion_iq"] = "fashion_iq"
    """Which format: FashionIQ's."""

    path: str = location()
    """The folder that holds `captions` and `image_splits`; a path or URL."""

    images: str = location("")
    """Folder or URL of the images, called by their ASIN; `images` in `path` when empty."""

    split: Literal["val", "test", "train"] = "val"
    """Which queries are read. Published numbers are those of `val`: the targets of `test` are not
    published."""


def image_folder(dataset: FashionIqDataset) -> str:
    """Return the folder of the images."""
    return dataset.images or f"{dataset.path.rstrip('/')}/images"


def read(dataset: FashionIqDataset) -> ComposedDataset:
    """Return the images and the queries of the split.

    Raises:
        InputError: a file is missing or broken, or a query names an image that is not listed.
    """
    from openalign.evaluate.datasets.edits import fashion_iq_reading

    return fashion_iq_reading.read(dataset.path, folder=image_folder(dataset), split=dataset.split)


def recognize(_: str, path: str) -> FashionIqDataset | None:
    """Return settings for a folder that holds FashionIQ's files."""
    from openalign.evaluate.datasets.reading.folders import has_files

    names = ("captions/cap.dress.val.json", "image_splits/split.dress.val.json")
    return FashionIqDataset(path=path) if has_files(path, *names) else None


KIND = DatasetKind(
    settings=FashionIqDataset,
    title="FashionIQ: queries that edit images of clothes in words",
    page="datasets.md",
    names=("fashion_iq",),
    tasks=("fashion_iq",),
    sizes={"fashion_iq": {"val": 15_415}},
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
