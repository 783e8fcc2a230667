"""Nearest neighbors from their settings to the report."""

from dataclasses import replace
from pathlib import Path

import pytest
from embedded import image_called
from given import report_on, run_on
from labelled_squares import labelled_squares

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.drawing.thumbnails import Thumbnail
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.classification import neighbors
from openalign.evaluate.tasks.classification.neighbors import (
    Neighbor,
    NeighborsQuery,
    NeighborsTask,
)
from openalign.evaluate.tasks.classification.neighbors_section import show_query
from openalign.files.facts import EvaluateFacts

PETS = Dataset(
    images=[
        image_called("a", split="test", label=0),
        image_called("b", split="val", label=0),
        image_called("c", split="train", label=0),
        image_called("d", split="extra"),
    ],
    classes=(ImageClass(id="n1"),),
)


def task(split: str = "", train_split: str = "") -> NeighborsTask:
    return NeighborsTask(benchmark="pets", split=split, train_split=train_split)


def test_a_task_needs_two_splits_those_of_the_data_set_unless_they_are_named() -> None:
    assert neighbors.needs(task(), PETS).splits == {"test", "train"}
    assert neighbors.needs(task("val"), PETS).splits == {"val", "train"}
    other = replace(PETS, test_split="val", train_split="test")
    assert neighbors.needs(task(), other).splits == {"val", "test"}
    assert neighbors.splits_of(task(train_split="train"), other) == ("val", "train")
    assert not neighbors.needs(task(), PETS).texts


@pytest.mark.parametrize(
    ("of", "dataset", "message"),
    [
        pytest.param(task("tset"), PETS, "no image is in split `tset`", id="split"),
        pytest.param(task(train_split="all"), PETS, "no image is in split `all`", id="train split"),
        pytest.param(task("train"), PETS, "split `train` asks and is searched", id="both the same"),
        pytest.param(task("extra"), PETS, "image d of split `extra` has no class", id="label"),
        pytest.param(
            task(train_split="extra"),
            PETS,
            "image d of split `extra` has no class",
            id="train label",
        ),
        pytest.param(task(), replace(PETS, classes=()), "its images have no classes", id="classes"),
    ],
)
def test_a_data_set_without_what_is_needed_is_refused(
    of: NeighborsTask, dataset: Dataset, message: str
) -> None:
    with pytest.raises(InputError, match=f"benchmark `pets`: {message}"):
        neighbors.needs(of, dataset)


def test_the_stage_and_the_report(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_squares = NeighborsTask(benchmark="squares")
    squares = labelled_squares(shared_benchmark)

    result = run_on(squares, on_squares, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)
    html, markdown = report_on(tmp_path)

    assert result.num_outputs == 8
    found = results.read(f"{tmp_path}/evaluate/results.json")
    assert [(metric.name, metric.n) for metric in found.metrics] == [
        ("neighbors/squares/recall_at_1", 4),
        ("neighbors/squares/recall_at_5", 4),
        ("neighbors/squares/recall_at_10", 4),
    ]
    # Of the four training images two are warm, one is cold and one is gray.
    assert found.metrics[0].chance == pytest.approx((2 / 4 + 1 / 4 + 2 / 4 + 1 / 4) / 4)
    assert isinstance(result.facts, EvaluateFacts)
    (line,) = result.facts.headline
    assert line.startswith("squares test, nearest neighbors: R@1/5/10 ")
    assert line.endswith(" / 100.0; 4 images among 4 of train)")
    assert '<section id="neighbors">' in html
    # Two of the four images are warm: a card and a table say so, and the opening.
    assert html.count("most frequent class 50.0") == 2
    assert html.count("the most frequent class each time 50.0") == 1
    assert markdown.count("most frequent class 50.0") == 1
    assert "4 images of test, among 4 of train; 3 classes" in html
    assert html.count('<article class="query">') == 4
    assert html.count("class by class</summary>") == 1
    assert "<b>warm" not in html
    assert "## Nearest neighbors" in markdown
    assert "| squares, test | 4 | 4 | 3 |" in markdown
    for table in markdown.split("\n\n"):
        rows = [row for row in table.splitlines() if row.startswith("|")]
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1, table


@pytest.mark.parametrize(
    ("hit_at", "place"),
    [
        pytest.param(1, "a hit at 1", id="first"),
        pytest.param(5, "a hit at 5", id="among five"),
        pytest.param(10, "a hit at 10", id="among ten"),
        pytest.param(0, "none of its class among the nearest 10", id="miss"),
    ],
)
def test_neighbors_of_the_same_class_are_marked(hit_at: int, place: str) -> None:
    names = ("a", "b", "c")
    tiles = Tiles("pets", {("pets", name): Thumbnail(caption=name, webp=b"") for name in names})
    first = (Neighbor(image="b", title="dog"), Neighbor(image="c", title="cat"))

    shown = show_query(NeighborsQuery(image="a", title="cat", hit_at=hit_at, first=first), tiles)

    assert [(tile.caption, tile.is_right) for tile in shown.tiles] == [
        ("dog", False),
        ("cat", True),
    ]
    assert (shown.place, shown.is_first, shown.is_found) == (place, hit_at == 1, True)
