"""What tasks need of a benchmark, and the identity of that."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from openalign.errors import InputError
from openalign.evaluate import plan as planning
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets import kinds
from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.plan import (
    Plan,
    content_of,
    fast_part,
    plan,
    say_needs,
    without_unreadable,
)
from openalign.evaluate.tasks.composed.composed import ComposedTask
from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask
from openalign.files import storage

TEST_ONLY = RetrievalTask(benchmark="toy", gallery_splits=("test",))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyDataset:
    """A data set that is given as it is."""

    dataset: Dataset
    kind: str = "toy"


TOY: DatasetKind[Any] = DatasetKind(
    settings=ToyDataset,
    title="",
    page="",
    read=lambda settings: settings.dataset,
    image_folder=lambda _: "",
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.KINDS, "toy", TOY)


def dataset_in(folder: Path) -> Dataset:
    """Return five images; those called `t` are the split `test`."""
    names = ("t0.jpg", "t1.jpg", "t2.jpg", "v0.jpg", "v1.jpg")
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return Dataset(
        images=[
            BenchmarkImage(
                name=name,
                split="test" if name.startswith("t") else "val",
                place=ImageFile(str(folder), name),
                captions=(f"caption of {name}",),
                label=0,
            )
            for name in names
        ],
        classes=(ImageClass(id="n01", names=("cat",)),),
    )


def planned(dataset: Dataset, *tasks: Any, allow_missing: bool = False, fast: bool = False) -> Plan:
    config = EvaluateConfig(tasks=tasks or (TEST_ONLY,), allow_missing=allow_missing, fast=fast)
    return plan(config, {"toy": ToyDataset(dataset=dataset)})  # pyright: ignore[reportArgumentType]


def names_of(found: Plan) -> list[str]:
    return [image.name for image in found.benchmarks["toy"].dataset.images]


def test_only_images_of_the_splits_that_a_task_names_are_needed(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)

    assert names_of(planned(dataset)) == ["t0.jpg", "t1.jpg", "t2.jpg"]
    assert len(names_of(planned(dataset, RetrievalTask(benchmark="toy")))) == 5


def test_images_of_other_splits_are_not_looked_for(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)
    before = content_of(planned(dataset).benchmarks["toy"], cache=f"{tmp_path}/cache")

    for name in ("v0.jpg", "v1.jpg"):
        (tmp_path / name).unlink()

    found = planned(dataset).benchmarks["toy"]
    assert found.missing == []
    assert content_of(found, cache=f"{tmp_path}/cache") == before


@pytest.mark.parametrize(
    ("gone", "error"),
    [
        pytest.param(
            ["t1.jpg"],
            "benchmark `toy` lacks 1 of the 5 images that are needed: FOLDER/t1.jpg",
            id="one",
        ),
        pytest.param(
            ["t0.jpg", "t1.jpg", "v0.jpg", "v1.jpg"],
            "benchmark `toy` lacks 4 of the 5 images that are needed: FOLDER/t0.jpg, "
            "FOLDER/t1.jpg, FOLDER/v0.jpg, ...",
            id="many",
        ),
        pytest.param(
            ["t0.jpg", "t1.jpg", "t2.jpg", "v0.jpg", "v1.jpg"],
            "benchmark `toy` lacks all of the 5 images that are needed; the first is FOLDER/t0.jpg",
            id="all",
        ),
    ],
)
def test_missing_images_are_counted_and_named(tmp_path: Path, gone: list[str], error: str) -> None:
    dataset = dataset_in(tmp_path)
    for name in gone:
        (tmp_path / name).unlink()

    with pytest.raises(InputError) as caught:
        planned(dataset, RetrievalTask(benchmark="toy"))

    assert str(caught.value) == error.replace("FOLDER", str(tmp_path))


def test_missing_images_are_left_out_where_that_is_allowed(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)
    whole = content_of(planned(dataset).benchmarks["toy"], cache=f"{tmp_path}/cache")
    (tmp_path / "t1.jpg").unlink()

    found = planned(dataset, allow_missing=True)

    assert names_of(found) == ["t0.jpg", "t2.jpg"]
    assert [image.name for image in found.benchmarks["toy"].missing] == ["t1.jpg"]
    assert content_of(found.benchmarks["toy"], cache=f"{tmp_path}/cache") != whole


def test_a_split_that_is_missing_whole_is_no_result(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)
    for name in ("t0.jpg", "t1.jpg", "t2.jpg"):
        (tmp_path / name).unlink()

    with pytest.raises(InputError, match="benchmark `toy`: no image is in split `test`"):
        planned(dataset, RetrievalTask(benchmark="toy"), allow_missing=True)


def test_a_query_about_a_missing_image_is_dropped(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path / "images")
    queries = tmp_path / "queries.json"
    entries = [
        {"image": "t0.jpg", "plus": word, "target": target}
        for word, target in (("red", "t1.jpg"), ("blue", "t2.jpg"))
    ]
    queries.write_text(json.dumps({"queries": entries}))
    task = ComposedTask(benchmark="toy", path=str(queries))
    (tmp_path / "images" / "t1.jpg").unlink()

    ((_, needs),) = planned(dataset, task, allow_missing=True).tasks

    assert list(needs.texts.values()) == [["blue"]]
    (tmp_path / "images" / "t2.jpg").unlink()
    with pytest.raises(InputError, match="every query is about an image that is left out"):
        planned(dataset, task, allow_missing=True)


def test_a_plan_goes_without_what_cannot_be_decoded(tmp_path: Path) -> None:
    task = RetrievalTask(benchmark="toy")
    config = EvaluateConfig(tasks=(task,))

    rest = without_unreadable(config, planned(dataset_in(tmp_path), task), {"toy": {"t1.jpg"}})

    assert names_of(rest) == ["t0.jpg", "t2.jpg", "v0.jpg", "v1.jpg"]
    assert rest.benchmarks["toy"].dataset.left_out == {"t1.jpg"}
    assert rest.benchmarks["toy"].with_captions
    with pytest.raises(InputError, match="no image is in split `test`"):
        without_unreadable(config, rest, {"toy": {"t0.jpg", "t2.jpg"}})


def images(number: int, *, split: str = "test", label: int | None = None) -> list[BenchmarkImage]:
    return [
        BenchmarkImage(
            name=f"{split}-{label}-{n}",
            split=split,
            place=ImageFile("images", str(n)),
            label=label,
        )
        for n in range(number)
    ]


def test_a_fast_run_takes_the_first_images_of_each_split() -> None:
    dataset = Dataset(images=[*images(65), *images(3, split="val"), *images(100, split="train")])

    part = fast_part(dataset)

    assert [image.name for image in part.images] == [
        *(f"test-None-{n}" for n in range(64)),
        *(f"val-None-{n}" for n in range(3)),
        *(f"train-None-{n}" for n in range(64)),
    ]
    assert len(part.left_out) == 1 + 36
    assert "test-None-64" in part.left_out


def test_a_fast_run_keeps_an_image_of_every_class_in_every_split() -> None:
    dataset = Dataset(
        images=[
            *(image for label in (0, 1, 2) for image in images(70, label=label)),
            *images(1, split="val", label=2),
        ],
        classes=tuple(ImageClass(id=str(n)) for n in range(3)),
    )

    names = [image.name for image in fast_part(dataset).images]

    assert names == [*(f"test-0-{n}" for n in range(64)), "test-1-0", "test-2-0", "val-2-0"]


def test_a_fast_run_asks_nothing_of_the_images_that_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "FAST_IMAGES", 2)
    dataset = dataset_in(tmp_path)
    (tmp_path / "t2.jpg").unlink()

    found = planned(dataset, fast=True)

    assert names_of(found) == ["t0.jpg", "t1.jpg"]
    assert found.benchmarks["toy"].missing == []


def test_a_run_says_beforehand_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = replace(dataset_in(tmp_path), notes=("one caption is blank",))
    (tmp_path / "t1.jpg").unlink()

    say_needs(planned(dataset, allow_missing=True))

    assert capsys.readouterr().err == (
        "evaluate  toy needs 2 images, 1 more are missing, 2 captions\n"
        "evaluate  one caption is blank\n"
    )


@dataclass(frozen=True, slots=True)
class Packed:
    """An image in an archive."""

    file: str

    def read(self) -> bytes:
        return b""


def test_images_of_an_archive_are_there_as_long_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "images.tar"
    archive.write_bytes(b"one")
    whole = dataset_in(tmp_path / "images")
    dataset = replace(
        whole, images=[replace(image, place=Packed(str(archive))) for image in whole.images]
    )
    read: list[str] = []
    sha256_of = storage.sha256_of
    monkeypatch.setattr(storage, "sha256_of", lambda url: read.append(url) or sha256_of(url))

    first = content_of(planned(dataset).benchmarks["toy"], cache=f"{tmp_path}/cache")
    archive.write_bytes(b"two")
    second = content_of(planned(dataset).benchmarks["toy"], cache=f"{tmp_path}/cache")

    assert first != second
    assert read == [str(archive)] * 2  # and not once an image
    archive.unlink()
    with pytest.raises(InputError, match="lacks all of the 3 images that are needed"):
        planned(dataset)


def test_the_identity_holds_no_place(tmp_path: Path) -> None:
    here, there = dataset_in(tmp_path / "here"), dataset_in(tmp_path / "there")

    found = {
        content_of(planned(dataset).benchmarks["toy"], cache=f"{tmp_path}/cache")
        for dataset in (here, there)
    }

    assert len(found) == 1


def changed(dataset: Dataset, number: int, **values: Any) -> Dataset:
    images = list(dataset.images)
    images[number] = replace(images[number], **values)
    return replace(dataset, images=images)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        pytest.param(lambda d: changed(d, 0, captions=("other",)), True, id="a caption"),
        pytest.param(lambda d: changed(d, 0, caption_ids=("7",)), True, id="a caption's id"),
        pytest.param(lambda d: changed(d, 0, name="t9.jpg"), True, id="a name"),
        pytest.param(lambda d: changed(d, 0, label=None), True, id="a label"),
        pytest.param(lambda d: changed(d, 0, split="val"), True, id="a split"),
        pytest.param(
            lambda d: replace(d, classes=(ImageClass(id="n01", names=("dog",)),)),
            True,
            id="the name of a class",
        ),
        pytest.param(lambda d: replace(d, templates=("a {}",)), True, id="a template"),
        pytest.param(
            lambda d: replace(d, notes=("/data/list.json has a blank",)), False, id="a note"
        ),
        pytest.param(
            lambda d: replace(d, images=list(reversed(d.images))), True, id="the images' order"
        ),
        pytest.param(
            lambda d: changed(d, 4, captions=("other",)), False, id="a caption of another split"
        ),
    ],
)
def test_the_identity_is_all_that_tasks_are_given(
    tmp_path: Path, change: Callable[[Dataset], Dataset], *, differs: bool
) -> None:
    dataset = dataset_in(tmp_path)
    before = content_of(planned(dataset).benchmarks["toy"], cache=f"{tmp_path}/cache")

    after = content_of(planned(change(dataset)).benchmarks["toy"], cache=f"{tmp_path}/cache")

    assert (after != before) is differs


def test_planning_needs_no_torch() -> None:
    code = f"import {planning.__name__}, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
