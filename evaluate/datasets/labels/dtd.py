"""The Describable Textures Dataset in its own lists: settings; the reading is beside."""

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
from openalign.evaluate.datasets.labels.unpacked import DTD
from openalign.settings.fields import location
from openalign.settings.limits import within


@dataclass(frozen=True, slots=True, kw_only=True)
class DtdDataset:
    """The 47 describable textures: `images` in class folders, and ten partitions in `labels`."""

    kind: Literal["dtd"] = "dtd"
    """Which format: that of DTD."""

    path: str = location()
    """The folder that holds `images` and `labels`, or the one above it; a path or URL."""

    partition: int = 1
    """Which of the ten published partitions is used; numbers are usually given for the first."""

    class_names: str = location("")
    """What prompts call the classes: a file with a name a line (`.txt`) or the names by folder
    (`.json`); the names of the folders when empty."""

    def __post_init__(self) -> None:
        within(1, 10, partition=self.partition)


def read(dataset: DtdDataset) -> Dataset:
    """Return the images of train, val and test.

    Raises:
        InputError: a list is missing or broken.
    """
    from openalign.evaluate.datasets.labels import dtd_reading

    return dtd_reading.read(
        dataset.path, partition=dataset.partition, class_names=dataset.class_names
    )


KIND = DatasetKind(
    settings=DtdDataset,
    title="Describable Textures (DTD) with the lists in labels",
    page=PAGE,
    names=("dtd",),
    tasks=LABEL_TASKS,
    sizes={"dtd": {"train": 1880, "val": 1880, "test": 1880}},
    read=read,
    image_folder=folder_holding("labels", inside=DTD),
    recognize=recognize_holding(
        lambda _name, path: DtdDataset(path=path), "images", "labels", inside=DTD
    ),
)
