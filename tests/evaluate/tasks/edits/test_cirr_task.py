"""CIRR in the plane, where every score can be worked out by hand, and by sorting galleries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edits import SAMPLING, material_of, painted, place_in, random_edits, slow_first_places
from embedded import image_called, random_rows
from given import report_on, run_on

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.metrics.vectors import unit_rows
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.contract import Material
from openalign.evaluate.tasks.edits import cirr
from openalign.evaluate.tasks.edits.cirr import CirrTask, text_of
from openalign.files.facts import EvaluateFacts

TASK = CirrTask(benchmark="pets")


def metrics_of(material: Material, task: CirrTask = TASK) -> dict[str, Metric]:
    found = cirr.measure(task, material, SAMPLING)
    return {metric.name.removeprefix("cirr/pets/"): metric for metric in found.metrics}


# Images at 0, 45, 90, 180 and 100 degrees. The text points up.
PLANE = [[1, 0], [1, 1], [0, 1], [-1, 0], [-0.174, 0.985]]
UP = {"up": [0.0, 1.0]}


def plane(query: EditQuery) -> ComposedDataset:
    return ComposedDataset(
        images=[image_called(f"{at}.png", split="val") for at in range(5)],
        test_split="val",
        queries=[query],
        galleries={"": (0, 1, 2, 3, 4)},
    )


def test_an_edit_turns_the_image_towards_the_text() -> None:
    # Image right, target up. 1:2 gives (1, 2) at 63 degrees: 45 is 18 off, up is 27 off. The image
    # alone finds 45 and then up; the text alone finds up first. In the group, 45 is not.
    query = EditQuery(reference=0, target=2, captions=("up",), group=(0, 2, 3, 4))

    found = metrics_of(material_of(plane(query), PLANE, text_of, UP))

    def values(method: str) -> list[float]:
        lasts = ("recall_at_1", "recall_at_5", "subset_recall_at_1", "subset_recall_at_2", "mean")
        return [found[f"{method}/{last}"].value for last in lasts]

    assert values("combined") == [0, 1, 1, 1, 1]
    assert values("image_only") == [0, 1, 1, 1, 1]
    assert values("text_only") == [1, 1, 1, 1, 1]
    chances = {name: found[f"combined/{name}"].chance for name in ("recall_at_1", "mean")}
    # Four images but the query's own, three others in the group: R@5 is certain, the subset 1/3.
    assert chances == {"recall_at_1": pytest.approx(1 / 4), "mean": pytest.approx((1 + 1 / 3) / 2)}


def test_the_weights_are_those_of_the_task() -> None:
    query = EditQuery(reference=0, target=2, captions=("up",), group=(0, 2))
    material = material_of(plane(query), PLANE, text_of, UP)

    # 1:9 is at 84 degrees: up is 6 off, 100 degrees 16.
    assert metrics_of(material, replace(TASK, text_weight=9.0))["combined/recall_at_1"].value == 1
    assert metrics_of(material, replace(TASK, text_weight=0.5))["combined/recall_at_1"].value == 0


def test_a_query_does_not_find_its_own_image() -> None:
    # Without the text's weight the query is the image itself, and the next image is the target.
    query = EditQuery(reference=0, target=1, captions=("up",), group=(0, 1, 2))
    material = material_of(plane(query), PLANE, text_of, UP)

    found = metrics_of(material, replace(TASK, text_weight=0.0))

    assert found["combined/recall_at_1"].value == 1
    assert found["combined/subset_recall_at_1"].value == 1
    measured = cirr.measure(replace(TASK, text_weight=0.0), material, SAMPLING)
    assert measured.examples.queries[0].first == ("1.png", "2.png", "4.png", "3.png")
    assert measured.facts.num_gallery_images == 5


def test_recalls_equal_sorting_each_gallery_and_group() -> None:
    dataset = random_edits({"": tuple(range(70))}, num_queries=40, seed=0)
    images = random_rows(70, 6, seed=1)
    texts = sorted({text_of(query) for query in dataset.queries})
    text_rows = dict(zip(texts, random_rows(len(texts), 6, seed=2), strict=True))
    material = material_of(dataset, images, text_of, text_rows)
    image_rows, rows = (
        unit_rows(np.array(images)),
        dict(zip(texts, unit_rows(np.array([text_rows[text] for text in texts])), strict=True)),
    )
    everywhere, in_group = [], []
    for query in dataset.queries:
        vector = image_rows[query.reference] + 2 * rows[text_of(query)]
        for found, gallery in ((everywhere, tuple(range(70))), (in_group, query.group)):
            order = slow_first_places(vector, image_rows, gallery, without=query.reference)
            found.append(place_in(order, query))

    measured = metrics_of(material)

    for k in (1, 5, 10, 50):
        expected = np.mean(np.array(everywhere) < k)
        assert measured[f"combined/recall_at_{k}"].value == pytest.approx(expected)
    for k in (1, 2, 3):
        expected = np.mean(np.array(in_group) < k)
        assert measured[f"combined/subset_recall_at_{k}"].value == pytest.approx(expected)
    mean = (np.mean(np.array(everywhere) < 5) + np.mean(np.array(in_group) < 1)) / 2
    assert measured["combined/mean"].value == pytest.approx(mean)
    assert measured["combined/mean"].low < mean < measured["combined/mean"].high


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        pytest.param(
            Dataset(images=[]), "benchmark `pets`: has no queries that edit", id="other data"
        ),
        pytest.param(
            replace(plane(EditQuery(reference=0, target=1, captions=("up",))), queries=[]),
            "has no query about its images",
            id="no query",
        ),
        pytest.param(
            plane(EditQuery(id="12", reference=0, target=None, captions=("up",))),
            "query 12 of split `val` has no target",
            id="no target",
        ),
        pytest.param(
            plane(EditQuery(id="12", reference=0, target=1, captions=("up",), group=(0, 2))),
            "the group of query 12 lacks its target",
            id="no group",
        ),
        pytest.param(
            random_edits({"a": (0, 1, 2, 3, 4, 5), "b": (0, 1, 2, 3, 4, 5)}, num_queries=1, seed=0),
            "has categories: a, b",
            id="categories",
        ),
    ],
)
def test_what_is_not_cirr_is_refused(dataset: Dataset, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cirr.needs(TASK, dataset)


def test_the_report_shows_numbers_and_queries(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = random_edits({"": tuple(range(8))}, num_queries=9, seed=3)
    edited = [replace(query, captions=(f"<b> {query.id}",)) for query in made.queries]
    dataset = painted(replace(made, queries=edited), shared_benchmark / "images")

    result = run_on(dataset, TASK, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)
    html, markdown = report_on(tmp_path)

    for part in (
        "9 queries of <em>pets</em> (split <em>val</em>)",
        "weighted 1 : 2",
        "the 8 images of the split but its own",
        "Subset R@3",
        "image and text",
        "&lt;b&gt; ",
        "for the image alone at place",
    ):
        assert part in html, part
    assert "| query | R@1 | R@5 | R@10 | R@50 |\n|---|---|---|---|---|\n| image alone |" in markdown
    assert "### pets: sampled queries" in markdown
    assert isinstance(result.facts, EvaluateFacts)
    start = "pets val, image and text: in the subset R@1/2/3 "
    assert any(line.startswith(start) for line in result.facts.headline)
