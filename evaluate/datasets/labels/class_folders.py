"""Class folders: a folder a class, below folders of splits or not. Settings; the reading is beside.

ImageNet-V2, -A, -R and -Sketch are published in this form.
"""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import LABEL_TASKS, PAGE, quietly
from openalign.settings.fields import location

_OF_IMAGENET = {
    "imagenet_v2": 10000,
    "imagenet_a": 7500,
    "imagenet_r": 30000,
    "imagenet_sketch": 50889,
}
"""How many images each has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFoldersDataset:
    """Images in a folder a class: `<path>/<class>/*.jpg`, or `<path>/<split>/<class>/*.jpg`."""

    kind: Literal["class_folders"] = "class_folders"
    """Which format: class folders."""

    path: str = location()
    """The folder that holds the class folders, or the folders of splits; a path or URL."""

    split: str = "test"
    """What the split is called where there are no folders of splits."""

    class_names: str = location("")
    """What prompts call the classes: a known list such as `imagenet`, or a file with a name a line
    (`.txt`) or the names by class (`.json`); the names of the folders when empty."""

    def __post_init__(self) -> None:
        if not self.split.strip():
            raise ValueError("split must be a name, got none: tasks ask for images by it")


def read(dataset: ClassFoldersDataset) -> Dataset:
    """Return every image with its class.

    Raises:
        InputError: the folders are another layer than one of classes, one of them is empty or has
            folders beside its images, or a link leads nowhere.
    """
    from openalign.evaluate.datasets.labels import class_folders_reading

    return class_folders_reading.read(
        dataset.path, split=dataset.split, class_names=dataset.class_names
    )


def _has_train(dataset: ClassFoldersDataset) -> bool:
    from openalign.evaluate.datasets.labels import class_folders_reading

    return class_folders_reading.has_train(dataset.path)


def _recognize(name: str, path: str) -> ClassFoldersDataset | None:
    from openalign.evaluate.datasets.labels import class_folders_reading, imagenet_reading

    is_asked_for = name in ("class_folders", *_OF_IMAGENET)
    if not is_asked_for and imagenet_reading.holds_imagenet(path):
        return None
    folder = class_folders_reading.class_folder_above(path)
    if folder is None:
        return None
    class_names = "imagenet" if name in _OF_IMAGENET else ""
    return ClassFoldersDataset(path=folder, class_names=class_names)


KIND = DatasetKind(
    settings=ClassFoldersDataset,
    title="class folders: ImageNet-V2, -A, -R, -Sketch, and any data set with a folder a class",
    page=PAGE,
    names=tuple(_OF_IMAGENET),
    tasks=LABEL_TASKS,
    has_train=_has_train,
    sizes={name: {"test": num_images} for name, num_images in _OF_IMAGENET.items()},
    read=read,
    image_folder=lambda dataset: dataset.path,
    recognize=quietly(_recognize),
)
