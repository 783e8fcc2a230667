"""Reads Stanford Cars.

    cars_train/00001.jpg, cars_test/00001.jpg, ...
    devkit/cars_meta.mat                        class_names[196]
    devkit/cars_train_annos.mat                 annotations: class (1 to 196), fname, bbox_x1, ...
    cars_test_annos_withlabels.mat              the same for test, here or in devkit

The devkit's own cars_test_annos.mat has no classes.
"""

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.labels.unpacked import CARS
from openalign.evaluate.datasets.reading.folders import check_inside
from openalign.evaluate.datasets.reading.labelled import (
    check_listed_once,
    check_number,
    first_folder_with,
    labelled_file,
)
from openalign.evaluate.datasets.reading.mat import column, read_mat
from openalign.files import storage

_META = "devkit/cars_meta.mat"
_TRAIN = "devkit/cars_train_annos.mat"
_TEST = ("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat")
_FORM = "cars_meta.mat has class_names; the other files have annotations with class and fname"


def read(path: str, *, class_names: str) -> Dataset:
    """Return the images of train and test, each in the order of its file.

    Raises:
        InputError: an annotation file is missing or broken, or has no labels.
        MissingExtraError: scipy, which reads .mat files, is not installed.
    """
    root = first_folder_with(path, *CARS, holding=_META)
    names = read_mat(storage.join(root, _META), "class_names", form=_FORM)
    titles = [str(name) for name in names.tolist()]
    files = {"train": storage.join(root, _TRAIN), "test": _labels_of_test(root)}
    images: list[BenchmarkImage] = []
    for split, url in files.items():
        records = read_mat(url, "annotations", form=_FORM)
        numbers = column(url, records, "class", form=_FORM)
        for place, file in enumerate(column(url, records, "fname", form=_FORM)):
            where = f"{url}: annotation {place}"
            label = check_number(where, str(numbers[place]), first=1, last=len(titles)) - 1
            below = check_inside(f"{where}: `fname`", f"cars_{split}/{file}")
            images.append(labelled_file(root, below, split=split, label=label))
    check_listed_once(root, images)
    ids = [str(number) for number in range(1, len(titles) + 1)]
    own = dict(zip(ids, titles, strict=True))
    return Dataset(images=images, classes=named_classes(ids, class_names, own=own))


def _labels_of_test(root: str) -> str:
    for file in _TEST:
        url = storage.join(root, file)
        if storage.exists(url):
            return url
    raise InputError(
        f"{storage.join(root, _TEST[0])} is not there",
        hint="the devkit's own cars_test_annos.mat has no classes; the file with labels is "
        "published separately",
    )
