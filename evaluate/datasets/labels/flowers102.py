"""Oxford Flowers-102 in its own annotation files: settings; the reading is beside."""

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
from openalign.evaluate.datasets.labels.unpacked import FLOWERS102
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class Flowers102Dataset:
    """Oxford's 102 flowers: `jpg`, imagelabels.mat and setid.mat (§5.3)."""

    kind: Literal["flowers102"] = "flowers102"
    """Which format: that of Flowers-102."""

    path: str = location()
    """The folder that holds `jpg` and the .mat files, or the one above it; a path or URL."""

    class_names: str = location("")
    """What prompts call the classes: the known list `flowers102`, or a file with a name a line
    (`.txt`) or the names by class, `1` to `102` (`.json`); no names when empty."""


def read(dataset: Flowers102Dataset) -> Dataset:
    """Return the images of train, val and test.

    Raises:
        InputError: an annotation file is missing or broken.
        MissingExtraError: a library that reads .mat files or keeps the names is not installed.
    """
    from openalign.evaluate.datasets.labels import flowers102_reading

    return flowers102_reading.read(dataset.path, class_names=dataset.class_names)


def _settings(name: str, path: str) -> Flowers102Dataset:
    return Flowers102Dataset(path=path, class_names=name if name == "flowers102" else "")


KIND = DatasetKind(
    settings=Flowers102Dataset,
    title="Flowers-102 with imagelabels.mat and setid.mat",
    page=PAGE,
    names=("flowers102",),
    tasks=LABEL_TASKS,
    sizes={"flowers102": {"train": 1020, "val": 1020, "test": 6149}},
    read=read,
    image_folder=folder_holding("setid.mat", inside=FLOWERS102),
    recognize=recognize_holding(
        _settings,
        "setid.mat",
        inside=FLOWERS102,
    ),
)
