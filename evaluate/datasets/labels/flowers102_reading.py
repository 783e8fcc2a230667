"""Reads Oxford Flowers-102.

    jpg/image_00001.jpg, ...
    imagelabels.mat     labels[8189]: the class of each image, 1 to 102
    setid.mat           trnid[1020], valid[1020], tstid[6149]: numbers of images, from 1

The splits are used as they are published. Some papers train on `tstid`, because it is larger.
"""

from typing import Any

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.labels.unpacked import FLOWERS102
from openalign.evaluate.datasets.reading.labelled import (
    check_listed_once,
    first_folder_with,
    labelled_file,
)
from openalign.evaluate.datasets.reading.mat import read_mat
from openalign.files import storage

NUM_CLASSES = 102

_SETS = {"train": "trnid", "val": "valid", "test": "tstid"}
_FORM = "setid.mat has trnid, valid and tstid; imagelabels.mat has labels, a number an image"


def read(path: str, *, class_names: str) -> Dataset:
    """Return the images of train, val and test, each in the order of its list.

    Raises:
        InputError: an annotation file is missing or broken.
        MissingExtraError: a library that reads .mat files or keeps the names is not installed.
    """
    root = first_folder_with(path, *FLOWERS102, holding="setid.mat")
    sets, labels = storage.join(root, "setid.mat"), storage.join(root, "imagelabels.mat")
    class_of = _numbers(labels, "labels", last=NUM_CLASSES)
    images: list[BenchmarkImage] = []
    for split, key in _SETS.items():
        for number in _numbers(sets, key, last=len(class_of)):
            file, label = f"jpg/image_{number:05d}.jpg", class_of[number - 1] - 1
            images.append(labelled_file(root, file, split=split, label=label))
    check_listed_once(root, images)
    ids = [str(number) for number in range(1, NUM_CLASSES + 1)]
    return Dataset(images=images, classes=named_classes(ids, class_names))


def _numbers(url: str, key: str, *, last: int) -> list[int]:
    """Return a list of numbers from 1 to `last`."""
    found: list[Any] = read_mat(url, key, form=_FORM).tolist()
    for place, number in enumerate(found):
        if not isinstance(number, int) or not 1 <= number <= last:
            raise InputError(
                f"{url}: `{key}`[{place}] must be a number from 1 to {last}, got {number!r}",
                hint=_FORM,
            )
    return found
