"""Oxford-IIIT Pets in its own annotation files: settings; the reading is beside."""

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
from openalign.evaluate.datasets.labels.unpacked import PETS
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class PetsDataset:
    """Oxford-IIIT's 37 pets: `images` and `annotations` (§5.3)."""

    kind: Literal["pets"] = "pets"
    """Which format: that of Oxford-IIIT Pets."""

    path: str = location()
    """The folder that holds `images` and `annotations`, or the one above it; a path or URL."""

    class_names: str = location("")
    """What prompts call the classes: a known list such as `pets`, or a file with a name a line
    (`.txt`) or the names by breed (`.json`); the breeds in the names of the images when empty."""


def read(dataset: PetsDataset) -> Dataset:
    """Return the images of trainval and test.

    Raises:
        InputError: an annotation file is missing or broken.
    """
    from openalign.evaluate.datasets.labels import pets_reading

    return pets_reading.read(dataset.path, class_names=dataset.class_names)


KIND = DatasetKind(
    settings=PetsDataset,
    title="Oxford-IIIT Pets with annotations/trainval.txt and test.txt",
    page=PAGE,
    names=("pets",),
    tasks=LABEL_TASKS,
    sizes={"pets": {"trainval": 3680, "test": 3669}},
    read=read,
    image_folder=folder_holding("annotations/test.txt", inside=PETS),
    recognize=recognize_holding(
        lambda _name, path: PetsDataset(path=path), "annotations/test.txt", inside=PETS
    ),
)
