"""Food-101 in its own annotation files: settings; the reading is beside."""

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
from openalign.evaluate.datasets.labels.unpacked import FOOD101
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class Food101Dataset:
    """Food-101: `images` in class folders, and the lists in `meta` (§5.3)."""

    kind: Literal["food101"] = "food101"
    """Which format: that of Food-101."""

    path: str = location()
    """The folder that holds `images` and `meta`, or the one above it; a path or URL."""

    class_names: str = location("")
    """What prompts call the classes: a file with a name a line (`.txt`) or the names by folder
    (`.json`); the names of the folders when empty."""


def read(dataset: Food101Dataset) -> Dataset:
    """Return the images of train and test.

    Raises:
        InputError: a list is missing or broken.
    """
    from openalign.evaluate.datasets.labels import food101_reading

    return food101_reading.read(dataset.path, class_names=dataset.class_names)


KIND = DatasetKind(
    settings=Food101Dataset,
    title="Food-101 with the lists in meta",
    page=PAGE,
    names=("food101",),
    tasks=LABEL_TASKS,
    sizes={"food101": {"train": 75750, "test": 25250}},
    read=read,
    image_folder=folder_holding("meta", inside=FOOD101),
    recognize=recognize_holding(
        lambda _name, path: Food101Dataset(path=path), "images", "meta", inside=FOOD101
    ),
)
