"""Crisscrossed Captions: ratings of pairs of MSCOCO's images and captions: settings.

The reading lies in `cxc_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class CxcSettings:
    """Crisscrossed Captions over MSCOCO's images (Tables 2 and 3)."""

    kind: Literal["cxc"] = "cxc"
    """Which format: the CSV files of Crisscrossed Captions."""

    path: str = location()
    """A clone of its repository, or the folder of the CSV files; a path or URL."""

    karpathy: str = location("")
    """Karpathy's `dataset_coco.json`, which has the captions. When empty, it lies in `path`, or
    beside it."""

    images: str = location("")
    """Folder or URL of MSCOCO's images. When empty, a usual one near `dataset_coco.json`."""

    split: Literal["test", "val"] = "test"
    """Which ratings are read: those of 5,000 images, with the first five captions of each."""


def image_folder(dataset: CxcSettings) -> str:
    """Return the folder of the images: `images`, or where the first of them is found."""
    from openalign.evaluate.datasets.captions import karpathy_reading
    from openalign.evaluate.datasets.ratings import cxc_reading

    return dataset.images or karpathy_reading.image_folder(
        cxc_reading.captions_file(dataset.path, dataset.karpathy)
    )


def read(dataset: CxcSettings) -> CxcDataset:
    """Return the images of the split, their captions, and the ratings of pairs of them.

    Raises:
        InputError: a file is missing or broken, or rates what the split does not have.
    """
    from openalign.evaluate.datasets.ratings import cxc_reading

    return cxc_reading.read(
        dataset.path,
        captions=cxc_reading.captions_file(dataset.path, dataset.karpathy),
        folder=image_folder(dataset),
        split=dataset.split,
    )


def recognize(_: str, path: str) -> CxcSettings | None:
    """Return settings for a folder of the CSV files, or a clone."""
    from openalign.evaluate.datasets.ratings import cxc_reading

    return CxcSettings(path=path) if cxc_reading.has_ratings(path) else None


KIND = DatasetKind(
    settings=CxcSettings,
    title="Crisscrossed Captions: rated pairs of MSCOCO's images and captions",
    page="datasets.md",
    names=("cxc",),
    tasks=("cxc",),
    sizes={"cxc": {"test": 5_000}},
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
