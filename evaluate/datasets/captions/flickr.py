"""The text files that Flickr30K and Flickr8K captions are passed around in: settings.

The reading lies in `flickr_reading`.
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
class FlickrDataset:
    """Images and captions in Flickr30K's token file, or in one of the CSV forms made of it.

    The form is told by the first line.
    """

    kind: Literal["flickr"] = "flickr"
    """Which format: a text file with a caption on each line, or with an image on each."""

    path: str = location()
    """The file, a path or URL, such as `results_20130124.token`, `results.csv` or
    `flickr_annotations_30k.csv`."""

    images: str = location("")
    """Folder or URL of the images. When empty, the file's own folder, or a usual one near it."""

    splits: str = location("")
    """What tells the splits, where the file does not: Karpathy's JSON, or a folder with lists of
    images such as `test.txt`. Images in no split are left out. When empty, every image is in the
    split that the file's name tells of, or in `test`."""

    max_captions: MaxCaptions = 5
    """Keep an image's first captions only, or `all`; five is the habit that makes numbers
    comparable."""

    def __post_init__(self) -> None:
        check_max_captions(self.max_captions)


def image_folder(dataset: FlickrDataset) -> str:
    """Return the folder of the images: `images`, or where the first of them is found."""
    from openalign.evaluate.datasets.captions import flickr_reading

    return dataset.images or flickr_reading.image_folder(dataset.path)


def read(dataset: FlickrDataset) -> Dataset:
    """Return every image with its captions, in the file's order.

    Raises:
        InputError: the file is of none of the forms, or breaks its own.
    """
    from openalign.evaluate.datasets.captions import flickr_reading

    return flickr_reading.read(
        dataset.path,
        folder=image_folder(dataset),
        splits=dataset.splits,
        max_captions=most_captions(dataset.max_captions),
    )


def recognize(_: str, path: str) -> FlickrDataset | None:
    """Return settings for a file whose first line is of one of the forms, or a folder of one."""
    from openalign.evaluate.datasets.captions import flickr_reading
    from openalign.evaluate.datasets.reading.folders import glance, only_file

    file = only_file(
        path, "results_*.token", "*.token.txt", "results.csv", "captions.txt", "*annotations*.csv"
    )
    return FlickrDataset(path=file) if flickr_reading.form_of(glance(file)) else None


KIND = DatasetKind(
    settings=FlickrDataset,
    title="Flickr30K's and Flickr8K's token file, and the CSV forms of it",
    page="datasets.md",
    names=("flickr30k", "flickr8k"),
    tasks=("retrieval",),
    read=read,
    image_folder=image_folder,
    recognize=recognize,
)
