"""Images in class folders of which a list a split names those that belong to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.reading.folders import check_inside
from openalign.evaluate.datasets.reading.labelled import (
    check_listed_once,
    check_names_some,
    labelled_file,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImages:
    """What a list names: images by class folder and file, such as `banded/banded_0002.jpg`."""

    url: str
    images: list[str]


def dataset_of_lists(root: str, lists: Mapping[str, ListedImages], *, class_names: str) -> Dataset:
    """Return the images that lists name, split by split; they lie below `images`.

    The classes are the folders in sorted order, over all splits.

    Raises:
        InputError: a list is empty, an image lies in no class folder or is listed twice, or a class
            has no name in `class_names`.
    """
    for listed in lists.values():
        check_names_some(listed.url, listed.images)
        for number, image in enumerate(listed.images, start=1):
            if image.count("/") != 1:
                raise InputError(
                    f"{listed.url}: image {number} lies in no class folder: {image!r}",
                    hint="an image is listed by its class folder, a slash and its name",
                )
            check_inside(f"{listed.url}: image {number}", image)
    folders = sorted({_folder_of(image) for listed in lists.values() for image in listed.images})
    label_of = {folder: label for label, folder in enumerate(folders)}
    own = {folder: folder.replace("_", " ") for folder in folders}
    images = [
        labelled_file(root, f"images/{image}", split=split, label=label_of[_folder_of(image)])
        for split, listed in lists.items()
        for image in listed.images
    ]
    check_listed_once(root, images)
    return Dataset(images=images, classes=named_classes(folders, class_names, own=own))


def _folder_of(image: str) -> str:
    return image.partition("/")[0]
