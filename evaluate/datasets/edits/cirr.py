"""CIRR: queries that edit everyday images in words: settings.

The reading lies in `cirr_reading`.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class CirrDataset:
    """CIRR's queries of one split, release rc2."""

    kind: Literal["cirr"] = "cirr"
    """Which format: CIRR's."""

    path: str = location()
    """The folder that holds `captions` and `image_splits`, or a folder `cirr` with them."""

    images: str = location("")
    """Folder or URL of NLVR2's images, with `train`, `dev` and `test1` in it. When empty, `img_raw`
    or `images` in `path`, or `path` itself."""

    split: Literal["val", "test1", "train"] = "val"
    """Which queries are read. Only `val` can be measured: the targets of `test1` are not
    published."""


def image_folder(dataset: CirrDataset) -> str:
    """Return the folder of the images: `images`, or where the first of them is found."""
    from openalign.evaluate.datasets.edits import cirr_reading

    return dataset.images or cirr_reading.image_folder(dataset.path, dataset.split)


def read(dataset: CirrDataset) -> ComposedDataset:
    """Return the images and the queries of the split.

    Raises:
        InputError: a file is missing or broken, or a query names an image that is not listed.
    """
    from openalign.evaluate.datasets.edits import cirr_reading

    return cirr_reading.read(dataset.path, folder=image_folder(dataset), split=dataset.split)


def recognize(_: str, path: str) -> CirrDataset | None:
    """Return settings for a folder that holds CIRR's files."""
    from openalign.evaluate.datasets.edits import cirr_reading

    return CirrDataset(path=path) if cirr_reading.is_cirrs(path) else None


KIND = DatasetKind(
    settings=CirrDataset,
    title="CIRR: queries that edit everyday images in words",
    page="datasets.md",
    names=("cirr",),
    tasks=("cirr",),
    sizes={"cirr": {"val": 2_297}},
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
