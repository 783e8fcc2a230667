"""ImageNet (ILSVRC2012) as it is unpacked: settings; the reading is beside."""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import LABEL_TASKS, PAGE, quietly
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNetDataset:
    """ImageNet's `train` in synset folders; `val` in synset folders, or flat with its labels."""

    kind: Literal["imagenet"] = "imagenet"
    """Which format: ImageNet's."""

    path: str = location()
    """The folder that holds `train` or `val`, or the folder that Kaggle's archive unpacks to; a
    folder of synset folders counts as `val`."""

    val_labels: str = location("")
    """Labels of a flat `val`: ILSVRC2012_validation_ground_truth.txt, or Kaggle's
    LOC_val_solution.csv. When empty, they are looked for in the folder and in the devkit in it."""

    synsets: str = location("")
    """Which synset each number of the ground truth means: the devkit's meta.mat, or a text file
    with a synset a line in the order of ILSVRC2012_ID, which is not sorted. When empty, meta.mat is
    looked for beside the ground truth."""

    class_names: str = location("")
    """What prompts call the classes: the known list `imagenet`, or a file with a name a line
    (`.txt`) or the names by synset (`.json`); no names when empty."""


def read(dataset: ImageNetDataset) -> Dataset:
    """Return the images of `train` and `val`; one of them may be missing.

    Raises:
        InputError: the folders are another layer, or a flat `val` has no labels that fit.
        MissingExtraError: a library that keeps the names or reads meta.mat is not installed.
    """
    from openalign.evaluate.datasets.labels import imagenet_reading

    return imagenet_reading.read(
        dataset.path,
        val_labels=dataset.val_labels,
        synsets=dataset.synsets,
        class_names=dataset.class_names,
    )


def _image_folder(dataset: ImageNetDataset) -> str:
    from openalign.evaluate.datasets.labels import imagenet_reading

    return imagenet_reading.data_folder(dataset.path)


def _has_train(dataset: ImageNetDataset) -> bool:
    from openalign.evaluate.datasets.labels import imagenet_reading

    return imagenet_reading.has_train(dataset.path)


def _recognize(name: str, path: str) -> ImageNetDataset | None:
    from openalign.evaluate.datasets.labels import imagenet_reading

    if name == "imagenet":
        held = imagenet_reading.holds_imagenet(path) or imagenet_reading.holds_synsets(path)
        return ImageNetDataset(path=path, class_names=name) if held else None
    return ImageNetDataset(path=path) if imagenet_reading.holds_imagenet(path) else None


KIND = DatasetKind(
    settings=ImageNetDataset,
    title="ImageNet: synset folders, and val flat with its ground truth or Kaggle's CSV",
    page=PAGE,
    names=("imagenet",),
    tasks=LABEL_TASKS,
    has_train=_has_train,
    sizes={"imagenet": {"train": 1281167, "val": 50000}},
    read=read,
    image_folder=_image_folder,
    recognize=quietly(_recognize),
)
