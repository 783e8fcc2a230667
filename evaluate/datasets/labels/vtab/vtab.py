"""VTAB-1k, as lists beside images or as TFDS prepares it: settings; the reading is beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.shared import PAGE, quietly
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import (
    NUM_TRAIN,
    NUM_VAL,
    TASK_OF,
    TEST,
    TRAIN,
    TRAIN_AND_VAL,
    VAL,
    VTAB_TASKS,
)
from openalign.settings.fields import location

COLLECTION = "vtab"
"""What all 19 are called together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VtabDataset:
    """One task of VTAB-1k: splits `train800`, `val200`, `train800val200` and `test` (§5.3)."""

    kind: Literal["vtab"] = "vtab"
    """Which format: VTAB-1k's."""

    path: str = location()
    """The folder that holds a folder a task with train800.txt and the other lists, or TFDS's data
    folder; a path or URL."""

    task: str
    """Which of the 19 tasks, such as `caltech101`; `docs/datasets.md` lists them."""

    class_names: str = location("")
    """What prompts call the classes: a known list, or a file with a name a line (`.txt`) or the
    names by number (`.json`); no names when empty."""

    def __post_init__(self) -> None:
        if self.task not in TASK_OF:
            raise ValueError(f"task must be one of {', '.join(TASK_OF)}, got {self.task!r}")


def read(dataset: VtabDataset) -> Dataset:
    """Return the images of the four splits.

    Raises:
        InputError: the task is in neither form below the folder, or is broken.
        MissingExtraError: the library that keeps the names is not installed.
    """
    from openalign.evaluate.datasets.labels.vtab import vtab_reading

    return vtab_reading.read(dataset.path, TASK_OF[dataset.task], class_names=dataset.class_names)


def _expand(name: str, path: str) -> Mapping[str, VtabDataset]:
    from openalign.evaluate.datasets.labels.vtab.vtab_reading import tasks_present

    if name != COLLECTION:
        return {}
    return {
        f"{COLLECTION}_{task.name}": VtabDataset(path=path, task=task.name)
        for task in tasks_present(path)
    }


def _image_folder(dataset: VtabDataset) -> str:
    from openalign.evaluate.datasets.labels.vtab import vtab_reading

    return vtab_reading.list_folder(dataset.path, TASK_OF[dataset.task]) or dataset.path


def _recognize(_: str, path: str) -> VtabDataset | None:
    from openalign.evaluate.datasets.labels.vtab.vtab_reading import task_of_folder

    task = task_of_folder(path)
    return None if task is None else VtabDataset(path=path, task=task.name)


KIND = DatasetKind(
    settings=VtabDataset,
    title="VTAB-1k: lists such as train800.txt beside images, or the records of TFDS",
    page=PAGE,
    names=(COLLECTION,),
    tasks=("vtab",),
    sizes={
        f"{COLLECTION}_{task.name}": {
            TRAIN: NUM_TRAIN,
            VAL: NUM_VAL,
            TRAIN_AND_VAL: NUM_TRAIN + NUM_VAL,
            TEST: task.num_test,
        }
        for task in VTAB_TASKS
    },
    read=read,
    image_folder=_image_folder,
    recognize=quietly(_recognize),
    expand=_expand,
)
