"""COCO's `captions_*.json` of 2014 and 2017, and files of the same form: settings.

The reading lies in `coco_reading`.
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
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoDataset:
    """Images and captions in COCO's own JSON: one file is one split."""

    kind: Literal["coco"] = "coco"
    """Which format: COCO's JSON of captions."""

    path: str = location()
    """The JSON file, a path or URL, such as `annotations/captions_val2017.json`."""

    images: str = location("")
    """Folder or URL of the images. When empty, the JSON's own folder, or one near it that is
    called as COCO's archives are, such as `val2017`."""

    split: str = ""
    """What the split is called; as the file's name says when empty (`val`), `test` when it says
    nothing."""

    max_captions: MaxCaptions = 5
    """Keep an image's first captions only, or `all`; five is the habit that makes numbers
    comparable."""

    def __post_init__(self) -> None:
        check_max_captions(self.max_captions)


def image_folder(dataset: CocoDataset) -> str:
    """Return the folder of the images: `images`, or where the first of them is found."""
    from openalign.evaluate.datasets.captions import coco_reading

    return dataset.images or coco_reading.image_folder(dataset.path)


def read(dataset: CocoDataset) -> Dataset:
    """Return every image with its captions, in the file's order.

    Raises:
        InputError: the file is not COCO's JSON of captions, or contradicts itself.
    """
    from openalign.evaluate.datasets.captions import coco_reading

    return coco_reading.read(
        dataset.path,
        folder=image_folder(dataset),
        split=dataset.split,
        max_captions=most_captions(dataset.max_captions),
    )


def recognize(_: str, path: str) -> CocoDataset | None:
    """Return settings for a JSON file of COCO captions, or a folder with one `captions_*.json`."""
    from openalign.evaluate.datasets.captions import coco_reading
    from openalign.evaluate.datasets.reading.folders import glance, only_file

    file = only_file(path, "captions_*.json", "coco_*_karpathy.json")
    return CocoDataset(path=file) if coco_reading.is_cocos(glance(file)) else None


KIND = DatasetKind(
    settings=CocoDataset,
    title="COCO's captions_*.json of 2014 and 2017, one file a split",
    page="datasets.md",
    names=("mscoco", "coco2014", "coco2017"),
    tasks=("retrieval",),
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
