"""ObjectNet with its class map: settings; the reading is beside."""

from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import (
    PAGE,
    folder_holding,
    recognize_holding,
)
from openalign.evaluate.datasets.labels.unpacked import OBJECTNET
from openalign.settings.fields import location
from openalign.settings.limits import not_negative


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNetDataset:
    """ObjectNet's images in class folders, with the maps that tell which classes ImageNet has."""

    kind: Literal["objectnet"] = "objectnet"
    """Which format: ObjectNet's."""

    path: str = location()
    """The folder that holds `images` and `mappings`, or the one above it; a path or URL."""

    classes: Literal["shared", "all"] = "shared"
    """Which classes are read: the 113 that ImageNet has too, as usual, or all 313."""

    border_px: int = 2
    """How much is cut off each side of an image: the publishers' red border, which is not part of
    the picture; 0 for images that have none."""

    class_names: str = location("")
    """What prompts call the classes: a file with a name a line (`.txt`) or the names by folder
    (`.json`); ObjectNet's own labels, in lower case, when empty."""

    def __post_init__(self) -> None:
        not_negative(border_px=self.border_px)


def read(dataset: ObjectNetDataset) -> Dataset:
    """Return the images of the classes that are wanted.

    Raises:
        InputError: a map is missing or broken, or names a folder that is not there.
    """
    from openalign.evaluate.datasets.labels import objectnet_reading

    return objectnet_reading.read(
        dataset.path,
        only_shared=dataset.classes == "shared",
        border_px=dataset.border_px,
        class_names=dataset.class_names,
    )


KIND = DatasetKind(
    settings=ObjectNetDataset,
    title="ObjectNet with its class map: the classes that ImageNet has too, without red borders",
    page=PAGE,
    names=("objectnet",),
    tasks=("zero_shot",),
    sizes={"objectnet": {"test": 18574}},
    read=read,
    image_folder=folder_holding("mappings", inside=OBJECTNET),
    recognize=recognize_holding(
        lambda _name, path: ObjectNetDataset(path=path),
        "images",
        "mappings",
        inside=OBJECTNET,
    ),
)
