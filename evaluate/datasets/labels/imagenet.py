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
    """The folder that holds `train` or `val`, or the folder that Kaggle's archive unpacks to."""

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


def _recognize(name: str, path: str) -> ImageNetDataset | None:
    from openalign.evaluate.datasets.labels.imagenet_reading import data_folder
    from openalign.evaluate.datasets.reading.folders import has_files

    folder = data_folder(path)
    held = has_files(folder, "train") or has_files(folder, "val")
    return (
        ImageNetDataset(path=path, class_names="imagenet") if name == "imagenet" and held else None
    )


KIND = DatasetKind(
    settings=ImageNetDataset,
    title="ImageNet: synset folders, and val flat with its ground truth or Kaggle's CSV",
    page=PAGE,
    names=("imagenet",),
    tasks=LABEL_TASKS,
    sizes={"imagenet": {"train": 1281167, "val": 50000}},
    read=read,
    image_folder=lambda dataset: dataset.path,
    recognize=quietly(_recognize),
)
