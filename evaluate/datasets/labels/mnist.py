"""MNIST's IDX files, in which Fashion-MNIST and others are published too: settings."""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import LABEL_TASKS, PAGE, quietly
from openalign.settings.fields import location

NAMES = ("mnist", "fashion_mnist")


@dataclass(frozen=True, slots=True, kw_only=True)
class MnistDataset:
    """Gray images in IDX files: MNIST, Fashion-MNIST, KMNIST."""

    kind: Literal["mnist"] = "mnist"
    """Which format: MNIST's IDX files."""

    path: str = location()
    """The folder that holds train-images-idx3-ubyte and the other three files, packed (`.gz`) or
    not; a path or URL."""

    class_names: str = location("")
    """What prompts call the classes: a known list, `mnist` or `fashion_mnist`, or a file with a
    name a line (`.txt`) or the names by number (`.json`); no names when empty."""


def read(dataset: MnistDataset) -> Dataset:
    """Return the images of train and test.

    Raises:
        InputError: a file is missing, is no IDX file, or has another number of entries.
        MissingExtraError: the library that keeps the names is not installed.
    """
    from openalign.evaluate.datasets.labels import mnist_reading

    return mnist_reading.read(dataset.path, class_names=dataset.class_names)


def _recognize(name: str, path: str) -> MnistDataset | None:
    from openalign.evaluate.datasets.labels.mnist_reading import folder_of_files

    if folder_of_files(path) is None:
        return None
    return MnistDataset(path=path, class_names=name if name in NAMES else "")


KIND = DatasetKind(
    settings=MnistDataset,
    title="MNIST's IDX files, in which Fashion-MNIST is published too",
    page=PAGE,
    names=NAMES,
    tasks=LABEL_TASKS,
    sizes={name: {"train": 60000, "test": 10000} for name in NAMES},
    read=read,
    image_folder=lambda dataset: dataset.path,
    recognize=quietly(_recognize),
)
