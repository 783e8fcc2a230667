"""What holds for every kind in the table."""

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest

from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.images import ImageFile, ImagePlace
from openalign.evaluate.datasets.kinds import KINDS
from openalign.evaluate.datasets.labels.mnist_reading import IdxImage
from openalign.evaluate.datasets.labels.objectnet_reading import BorderedImage
from openalign.evaluate.datasets.labels.vtab.vtab_records import BinaryImage
from openalign.evaluate.datasets.reading.slices import FileSlice
from openalign.evaluate.tasks.kinds import KINDS as TASKS
from openalign.evaluate.tasks.kinds import task_by_default

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", list(KINDS))
def test_a_kind_says_what_it_is(name: str) -> None:
    kind: DatasetKind[Any] = KINDS[name]
    (setting,) = (f for f in dataclasses.fields(kind.settings) if f.name == "kind")

    assert setting.default == name
    assert kind.title
    assert (DOCS / kind.page).is_file()


@pytest.mark.parametrize("name", list(KINDS))
def test_what_is_measured_by_default_is_a_kind_of_task(name: str) -> None:
    kind: DatasetKind[Any] = KINDS[name]

    of_vtab = {"task": "svhn"} if name == "vtab" else {}
    dataset = kind.settings(path="somewhere", **of_vtab)

    assert set(kind.tasks) <= set(TASKS)
    for task in kind.tasks:
        settings = task_by_default(task, "mine", dataset)
        assert (settings.kind, settings.benchmark) == (task, "mine")


@pytest.mark.parametrize("name", list(KINDS))
def test_nothing_is_recognized_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    kind: DatasetKind[Any] = KINDS[name]

    for published in (*kind.names, "mine"):
        assert kind.recognize(published, str(tmp_path)) is None
        assert not kind.expand(published, str(tmp_path))


@pytest.mark.parametrize(
    "place",
    [
        ImageFile("/folder", "a.jpg"),
        FileSlice("/folder/a.tfrecord", 10, 20),
        IdxImage("/folder/train-images-idx3-ubyte", 3),
        BorderedImage(ImageFile("/folder", "a.png"), 2),
        BinaryImage(FileSlice("/folder/a.tfrecord", 10, 20)),
    ],
    ids=lambda place: type(place).__name__,
)
def test_a_place_travels_to_another_process(place: ImagePlace) -> None:
    assert pickle.loads(pickle.dumps(place)) == place
    assert place.file.startswith("/folder/")
