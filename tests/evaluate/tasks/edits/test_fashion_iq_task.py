"""FashionIQ by sorting each category's gallery, and its texts as the public scorer joins them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edits import SAMPLING, material_of, painted, place_in, random_edits, slow_first_places
from embedded import image_called, random_rows
from given import report_on, run_on

from openalign.errors import InputError
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.metrics.vectors import unit_rows
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.contract import Material
from openalign.evaluate.tasks.edits import fashion_iq
from openalign.evaluate.tasks.edits.fashion_iq import FashionIqTask, text_of
from openalign.files.facts import EvaluateFacts

TASK = FashionIqTask(benchmark="pets")

# One image, 20, is of both categories, as some of FashionIQ's are.
GALLERIES = {"dress": tuple(range(60, 19, -1)), "toptee": tuple(range(21))}


def metrics_of(material: Material) -> dict[str, Metric]:
    found = fashion_iq.measure(TASK, material, SAMPLING)
    return {metric.name.removeprefix("fashion_iq/pets/"): metric for metric in found.metrics}


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        pytest.param(("is Shiny.", "Fit and flare?"), "Is shiny and Fit and flare", id="two"),
        pytest.param((" is red, ",), "Is red", id="one"),
        pytest.param(("", "is red"), "Is red", id="a blank one"),
        pytest.param(("?", ""), "", id="none"),
    ],
)
def test_two_captions_are_one_text(captions: tuple[str, ...], expected: str) -> None:
    assert text_of(EditQuery(reference=0, target=1, captions=captions)) == expected


def test_recalls_equal_sorting_the_gallery_of_each_category() -> None:
    dataset = random_edits(GALLERIES, num_queries=12, seed=0)
    fewer = [q for q in dataset.queries if q.category == "dress" or int(q.id[6:]) < 4]
    dataset = replace(dataset, queries=fewer)
    images = random_rows(61, 5, seed=1)
    texts = sorted({text_of(query) for query in dataset.queries})
    text_rows = dict(zip(texts, random_rows(len(texts), 5, seed=2), strict=True))
    image_rows = unit_rows(np.array(images))
    rows = dict(zip(texts, unit_rows(np.array([text_rows[t] for t in texts])), strict=True))
    ranks: dict[str, list[int]] = {"dress": [], "toptee": []}
    for query in dataset.queries:
        vector = image_rows[query.reference] + 2 * rows[text_of(query)]
        # The query's own image is in the gallery.
        order = slow_first_places(vector, image_rows, GALLERIES[query.category], without=None)
        ranks[query.category].append(place_in(order, query))

    measured = metrics_of(material_of(dataset, images, text_of, text_rows))

    means = []
    for k in (10, 50):
        each = {name: np.mean(np.array(found) < k) for name, found in ranks.items()}
        for name, expected in each.items():
            assert measured[f"{name}/combined/recall_at_{k}"].value == pytest.approx(expected)
            assert measured[f"{name}/combined/recall_at_{k}"].n == len(ranks[name])
        means.append(np.mean(list(each.values())))
        assert measured[f"mean/combined/recall_at_{k}"].value == pytest.approx(means[-1])
    assert len(ranks["dress"]) == 3 * len(ranks["toptee"])
    assert measured["mean/combined/mean"].value == pytest.approx(np.mean(means))
    chance = measured["mean/combined/recall_at_10"].chance
    assert chance == pytest.approx((10 / 41 + 10 / 21) / 2)


def test_a_query_may_find_its_own_image() -> None:
    # Eleven images, a degree apart: behind its own image and nine others, the last one is eleventh.
    angles = [math.radians(degree) for degree in range(11)]
    query = EditQuery(reference=0, target=10, captions=("up",), category="dress")
    dataset = ComposedDataset(
        images=[image_called(f"{at}.png", split="val") for at in range(11)],
        test_split="val",
        queries=[query],
        galleries={"dress": tuple(range(11))},
    )
    images = [[math.cos(angle), math.sin(angle)] for angle in angles]
    material = material_of(dataset, images, text_of, {"Up": [0, 1]})

    found = fashion_iq.measure(replace(TASK, text_weight=0.0), material, SAMPLING)

    assert found.examples.queries[0].rank == 11
    assert found.examples.queries[0].first[0] == "0.png"
    assert [m.value for m in found.metrics if "dress/combined" in m.name] == [0, 1]


def test_a_query_without_text_is_its_image_alone() -> None:
    dataset = random_edits({"dress": tuple(range(20))}, num_queries=6, seed=3)
    silent = replace(dataset, queries=[replace(q, captions=()) for q in dataset.queries[:5]])
    last = replace(dataset.queries[5], captions=("is red",))
    dataset = replace(dataset, queries=[*silent.queries, last])
    material = material_of(dataset, random_rows(20, 4, seed=4), text_of, {"Is red": [1, 0, 0, 0]})

    found = fashion_iq.measure(TASK, material, SAMPLING)

    shown = [query for query in found.examples.queries if not query.text]
    assert len(shown) == 5
    assert all(query.rank == query.image_only_rank for query in shown)


def test_what_is_not_fashion_iq_is_refused() -> None:
    with pytest.raises(InputError, match="benchmark `pets`: has the category ''"):
        fashion_iq.needs(TASK, random_edits({"": tuple(range(9))}, num_queries=1, seed=0))


def test_a_category_without_queries_is_left_out() -> None:
    dataset = random_edits(GALLERIES, num_queries=2, seed=5)
    dresses = replace(dataset, queries=[q for q in dataset.queries if q.category == "dress"])
    texts = {text_of(query): [1.0, 0.0, 0.0] for query in dresses.queries}

    found = fashion_iq.measure(
        TASK, material_of(dresses, random_rows(61, 3, seed=6), text_of, texts), SAMPLING
    )

    assert list(found.facts.categories) == ["dress"]
    assert found.facts.categories["dress"].num_gallery_images == 41


def test_the_report_shows_each_category(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries = {"dress": (7, 6, 5, 4, 3, 2), "toptee": tuple(range(8))}
    made = random_edits(galleries, num_queries=4, seed=7)
    dataset = painted(made, shared_benchmark / "images")

    result = run_on(dataset, TASK, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)
    html, markdown = report_on(tmp_path)

    for part in (
        "pets: means over categories",
        "<h3>pets: toptee</h3>",
        "4 queries, 6 images: recall in percent",
        "More 0 and less 0",
    ):
        assert part in html, part
    assert "### pets: dress\n\n4 queries, 6 images.\n\n| query | R@10 | R@50 |\n" in markdown
    assert isinstance(result.facts, EvaluateFacts)
    start = "pets val, dress, toptee, image and text: mean R@10"
    assert any(line.startswith(start) for line in result.facts.headline)
