"""Stanford Cars with its devkit: settings; the reading is beside."""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import (
    LABEL_TASKS,
    PAGE,
    folder_holding,
    recognize_holding,
)
from openalign.evaluate.datasets.labels.unpacked import CARS
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class CarsDataset:
    """Stanford's 196 cars: `cars_train`, `cars_test` and `devkit` (§5.3)."""

    kind: Literal["cars"] = "cars"
    """Which format: that of Stanford Cars."""

    path: str = location()
    """The folder that holds `cars_train`, `cars_test` and `devkit`, or the one above it."""

    class_names: str = location("")
    """What prompts call the classes: a file with a name a line (`.txt`) or the names by class
    (`.json`); those of the devkit, such as `Audi TT RS Coupe 2012`, when empty."""


def read(dataset: CarsDataset) -> Dataset:
    """Return the images of train and test.

    Raises:
        InputError: an annotation file is missing or broken, or has no labels.
        MissingExtraError: scipy, which reads .mat files, is not installed.
    """
    from openalign.evaluate.datasets.labels import cars_reading

    return cars_reading.read(dataset.path, class_names=dataset.class_names)


KIND = DatasetKind(
    settings=CarsDataset,
    title="Stanford Cars with its devkit",
    page=PAGE,
    names=("cars",),
    tasks=LABEL_TASKS,
    sizes={"cars": {"train": 8144, "test": 8041}},
    read=read,
    image_folder=folder_holding("devkit/cars_meta.mat", inside=CARS),
    recognize=recognize_holding(
        lambda _name, path: CarsDataset(path=path), "devkit/cars_meta.mat", inside=CARS
    ),
)
