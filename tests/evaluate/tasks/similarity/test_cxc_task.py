"""Crisscrossed Captions on a few images, by hand, by brute force and against the public scorer."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedded import embedded_benchmark, image_called, random_rows
from given import report_on, run_on

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import ImageFile
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.similarity import cxc
from openalign.evaluate.tasks.similarity.cxc import CxcExamples, CxcFacts, CxcTask
from openalign.evaluate.tasks.similarity.cxc_measures import Pairs, resampled_correlation
from openalign.evaluate.tasks.similarity.cxc_rights import right_items

TASK = CxcTask(benchmark="cxc", correlation_resamples=200)
BOOTSTRAP = Bootstrap(resamples=50, confidence=0.9, seed=0)


def rated(first: int, second: int, score: float) -> RatedPair:
    return RatedPair(first=first, second=second, score=score, method="made up")


def random_ratings(num_images: int, num_captions: int, *, seed: int) -> CxcDataset:
    """Return images with as many captions each, and ratings drawn at random."""
    draw = np.random.default_rng(seed)
    texts = num_images * num_captions

    def pairs(num_first: int, num_second: int) -> list[RatedPair]:
        drawn = zip(
            draw.integers(num_first, size=4 * num_first).tolist(),
            draw.integers(num_second, size=4 * num_first).tolist(),
            draw.uniform(0, 5, size=4 * num_first).round(1).tolist(),
            strict=True,
        )
        return [rated(*pair) for pair in drawn]

    own = [rated(text, text // num_captions, 4.0) for text in range(texts)]
    return CxcDataset(
        images=[
            image_called(f"{at}.png", *(f"{at} {text}" for text in range(num_captions)))
            for at in range(num_images)
        ],
        image_pairs=pairs(num_images, num_images),
        caption_image_pairs=[*own, *pairs(texts, num_images)],
        caption_pairs=pairs(texts, texts),
    )


def each_with_the_last(num: int, score: float) -> list[RatedPair]:
    """Return pairs of the first with the last, the second with the last but one, and so on."""
    return [rated(at, num - 1 - at, score) for at in range(num)]


def moved(pairs: Sequence[RatedPair], by: int) -> list[RatedPair]:
    return [replace(pair, first=pair.first + by, second=pair.second + by) for pair in pairs]


def measured(
    dataset: CxcDataset,
    images: list[list[float]],
    captions: list[list[float]],
    task: CxcTask = TASK,
    *,
    fast: bool = False,
) -> Measured[CxcFacts, CxcExamples]:
    benchmark = embedded_benchmark(dataset, images, captions, name="cxc")
    sampling = Sampling(bootstrap=BOOTSTRAP, num_examples=3, fast=fast)
    return cxc.measure(task, Material(benchmark=benchmark, texts={}), sampling)


def by_name(found: Measured[CxcFacts, CxcExamples]) -> dict[str, Metric]:
    return {metric.name.removeprefix("cxc/cxc/"): metric for metric in found.metrics}


# Captions 0 and 1 are of image 0, 2 of image 1, 3 of image 2.
SMALL = CxcDataset(
    images=[
        image_called("a.png", "a0", "a1"),
        image_called("b.png", "b"),
        image_called("c.png", "c"),
    ],
    image_pairs=[rated(0, 1, 3.0), rated(1, 2, 2.9)],
    caption_image_pairs=[rated(0, 0, 5.0), rated(1, 0, 2.5), rated(2, 1, 3.0), rated(3, 1, 4.0)],
    caption_pairs=[rated(2, 3, 3.5), rated(0, 2, 1.0)],
)


def rights(**choices: bool) -> dict[str, dict[int, set[int]]]:
    values = {"own_captions": False, "co_captions": False} | choices
    return {name: dict(each) for name, each in right_items(SMALL, from_score=3, **values).items()}


def test_a_pair_is_right_from_the_score_on_and_both_ways() -> None:
    assert rights() == {
        "image_to_text": {0: {0}, 1: {2, 3}},
        "text_to_image": {0: {0}, 2: {1}, 3: {1}},
        "text_to_text": {2: {3}, 3: {2}},
        "image_to_image": {0: {1}, 1: {0}},
    }


def test_own_captions_and_co_captions_are_right_where_the_task_says_so() -> None:
    own = rights(own_captions=True)
    assert own["image_to_text"] == {0: {0, 1}, 1: {2, 3}, 2: {3}}
    assert own["text_to_image"] == {0: {0}, 1: {0}, 2: {1}, 3: {1, 2}}
    assert own["text_to_text"] == {2: {3}, 3: {2}}

    assert rights(co_captions=True)["text_to_text"] == {0: {1}, 1: {0}, 2: {3}, 3: {2}}


def slow_recall(
    query_rows: np.ndarray,
    gallery_rows: np.ndarray,
    right: dict[int, set[int]],
    k: int,
    *,
    within: bool,
) -> float:
    """Sort the gallery for each query that has something right, itself left out."""
    hits = []
    for query, wanted in right.items():
        order = sorted(
            (item for item in range(len(gallery_rows)) if not (within and item == query)),
            key=lambda item: -float(query_rows[query] @ gallery_rows[item]),
        )
        hits.append(bool(set(order[:k]) & wanted))
    return sum(hits) / len(hits)


def test_recall_equals_sorting_each_gallery() -> None:
    dataset = random_ratings(9, 3, seed=0)
    images, captions = random_rows(9, 5, seed=1), random_rows(27, 5, seed=2)
    benchmark = embedded_benchmark(dataset, images, captions)
    rows = {"image": benchmark.image_GD, "text": benchmark.captions_embedded}
    clean = replace(
        dataset,
        image_pairs=[p for p in dataset.image_pairs if p.first != p.second],
        caption_pairs=[p for p in dataset.caption_pairs if p.first != p.second],
    )

    found = by_name(measured(dataset, images, captions))

    right = right_items(clean, from_score=3.0, own_captions=False, co_captions=True)
    for direction, of_direction in right.items():
        query, gallery = direction.split("_to_")
        for k in (1, 5):
            expected = slow_recall(
                rows[query], rows[gallery], dict(of_direction), k, within=query == gallery
            )
            metric = found[f"{direction}/recall_at_{k}"]
            assert metric.value == pytest.approx(expected), (direction, k)
            assert metric.n == len(of_direction)


def test_chance_leaves_the_query_out_of_its_gallery() -> None:
    # Of four images, one of the three others is right.
    dataset = replace(random_ratings(4, 1, seed=0), image_pairs=each_with_the_last(4, 3))

    found = by_name(measured(dataset, random_rows(4, 3, seed=1), random_rows(4, 3, seed=2)))

    assert found["image_to_image/recall_at_1"].chance == pytest.approx(1 / 3)
    assert found["image_to_image/recall_at_1"].n == 4


def test_an_item_that_is_rated_with_itself_counts_nowhere() -> None:
    dataset = random_ratings(6, 2, seed=3)
    images, captions = random_rows(6, 4, seed=4), random_rows(12, 4, seed=5)
    clean = replace(
        dataset,
        image_pairs=[p for p in dataset.image_pairs if p.first != p.second],
        caption_pairs=[p for p in dataset.caption_pairs if p.first != p.second],
    )
    assert len(clean.image_pairs) < len(dataset.image_pairs)

    with_self, without = (measured(each, images, captions) for each in (dataset, clean))

    assert with_self.metrics == without.metrics
    assert with_self.facts == without.facts


def test_only_the_split_is_measured() -> None:
    dataset = random_ratings(6, 2, seed=6)
    images, captions = random_rows(6, 4, seed=7), random_rows(12, 4, seed=8)
    other = [image_called(f"other {at}.png", "x", split="val") for at in range(2)]
    longer = replace(
        dataset,
        images=[*other, *dataset.images],
        image_pairs=[rated(0, 1, 5), *moved(dataset.image_pairs, 2)],
        caption_image_pairs=moved(dataset.caption_image_pairs, 2),
        caption_pairs=moved(dataset.caption_pairs, 2),
    )

    alone = measured(dataset, images, captions)
    beside = measured(
        longer, [*random_rows(2, 4, seed=9), *images], [*random_rows(2, 4, seed=10), *captions]
    )

    assert beside.metrics == alone.metrics
    assert beside.facts == alone.facts


def pairs_by_rating(rated_queries: list[tuple[int, float]]) -> Pairs:
    return Pairs(
        query_N=np.array([query for query, _ in rated_queries]),
        item_N=np.zeros(len(rated_queries), dtype=np.int64),
        rating_N=np.array([rating for _, rating in rated_queries]),
    )


def test_a_correlation_is_over_half_of_the_queries_with_one_pair_each() -> None:
    # Two pairs of two queries are in one order by rating and cosine, two of one query are not.
    queries = (5, 1, 3, 8)
    pairs = pairs_by_rating([(q, 10.0 * q + number) for q in queries for number in range(3)])
    cosines = np.array([10.0 * query - number for query in queries for number in range(3)])
    seen: set[float] = set()

    for seed in range(40):
        random = np.random.Generator(np.random.PCG64(seed))
        found = resampled_correlation(pairs, cosines, 5, random)
        assert (found.num_queries, found.num_pairs) == (4, 12)
        seen |= set(found.value_R.tolist())

    assert seen == {1.0}


def test_resampled_correlations_have_the_mean_and_spread_of_all_draws() -> None:
    # Four queries, a pair each: two of the four are drawn, and two pairs agree or do not.
    # Ratings 1 2 3 4, cosines 1 3 2 4: of the six draws, only 2 and 3 disagree: (5 - 1) / 6.
    pairs = pairs_by_rating([(query, query + 1.0) for query in range(4)])

    found = resampled_correlation(
        pairs,
        np.array([1.0, 3.0, 2.0, 4.0]),
        6000,
        np.random.Generator(np.random.PCG64(0)),
    )

    assert found.value_R.mean() == pytest.approx(4 / 6, abs=0.03)
    assert found.value_R.std() == pytest.approx(np.sqrt(1 - (4 / 6) ** 2), abs=0.03)


def test_correlations_and_their_mean_stand_in_metrics_and_facts() -> None:
    dataset = random_ratings(8, 2, seed=11)
    images, captions = random_rows(8, 4, seed=12), random_rows(16, 4, seed=13)

    found = measured(dataset, images, captions)

    metrics = by_name(found)
    three = [metrics[f"correlation/{name}"] for name in ("sts", "sis", "sits")]
    assert metrics["correlation/mean"].value == pytest.approx(np.mean([m.value for m in three]))
    assert all(m.low < m.value < m.high and m.chance == 0 for m in three)
    assert found.facts.correlation_resamples == 200
    assert found.facts.correlations["sits"].num_pairs == 16 + 64
    assert found.facts.correlations["sits"].num_queries == 8
    assert found.facts.correlations["sts"].num_queries <= 16
    assert 0 < found.facts.correlations["sis"].std < 1
    assert measured(dataset, images, captions, fast=True).facts.correlation_resamples == 20


def test_the_same_seed_gives_the_same_correlations_and_another_does_not() -> None:
    dataset = random_ratings(8, 2, seed=11)
    images, captions = random_rows(8, 4, seed=12), random_rows(16, 4, seed=13)
    benchmark = embedded_benchmark(dataset, images, captions, name="cxc")

    def values(seed: int) -> list[float]:
        sampling = Sampling(bootstrap=replace(BOOTSTRAP, seed=seed), num_examples=1)
        found = cxc.measure(TASK, Material(benchmark=benchmark, texts={}), sampling)
        return [m.value for m in found.metrics if "/correlation/" in m.name]

    assert values(0) == values(0)
    assert values(0) != values(1)


def test_the_two_directions_between_images_and_texts_are_those_of_eccv_caption(
    tmp_path: Path,
) -> None:
    with warnings.catch_warnings():  # it warns of missing extras
        warnings.simplefilter("ignore")
        scorer = pytest.importorskip("eccv_caption", reason="an oracle, not a dependency")
    dataset = random_ratings(20, 5, seed=14)
    images, captions = random_rows(20, 6, seed=15), random_rows(100, 6, seed=16)
    benchmark = embedded_benchmark(dataset, images, captions)
    right = {
        name: {query: sorted(items) for query, items in each.items()}
        for name, each in right_items(
            dataset, from_score=3.0, own_captions=False, co_captions=False
        ).items()
    }
    files = {name: tmp_path / f"{name}.json" for name in ("image_to_text", "text_to_image")}
    for name, file in files.items():
        file.write_text(json.dumps(right[name]))
    metrics = scorer.Metrics()
    metrics.set_cxc_gts(str(files["image_to_text"]), str(files["text_to_image"]))
    scores = benchmark.image_GD @ benchmark.captions_embedded.T
    ranked = {
        short: {at: np.argsort(-row).tolist() for at, row in enumerate(each)}
        for short, each in (("i2t", scores), ("t2i", scores.T))
    }

    found = by_name(measured(dataset, images, captions))

    for k in (1, 5, 10):
        expected = metrics.cxc_recalls(ranked, "all", K=k)
        assert found[f"image_to_text/recall_at_{k}"].value == pytest.approx(expected["i2t"])
        assert found[f"text_to_image/recall_at_{k}"].value == pytest.approx(expected["t2i"])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        pytest.param(Dataset(images=SMALL.images), "has no ratings of pairs", id="no ratings"),
        pytest.param(
            CxcDataset(
                images=SMALL.images,
                image_pairs=[rated(1, 1, 5)],
                caption_image_pairs=[],
                caption_pairs=[],
            ),
            "no pair in split `test` is rated",
            id="no pair",
        ),
        pytest.param(
            replace(SMALL, test_split="val"), "no image is in split `val`", id="another split"
        ),
    ],
)
def test_ratings_that_cannot_be_measured_are_refused(dataset: Dataset, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cxc.needs(TASK, dataset)


def test_what_is_not_rated_is_left_out_of_the_numbers() -> None:
    # Of images, none is right for another; of captions and images, three images are rated.
    dataset = replace(
        random_ratings(6, 2, seed=0),
        image_pairs=each_with_the_last(6, 1),
        caption_image_pairs=[rated(text, text // 2, 4) for text in range(6)],
    )

    found = measured(dataset, random_rows(6, 4, seed=1), random_rows(12, 4, seed=2))

    assert list(found.facts.directions) == ["image_to_text", "text_to_image", "text_to_text"]
    assert list(found.facts.correlations) == ["sts", "sis"]
    assert {m.name for m in found.metrics if "correlation" in m.name} == {
        "cxc/cxc/correlation/sts",
        "cxc/cxc/correlation/sis",
    }
    assert found.examples.image_to_image == ()


def test_the_report_shows_both_tables_and_similar_images(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(shared_benchmark / "images")
    made = replace(random_ratings(6, 2, seed=17), image_pairs=each_with_the_last(6, 4))
    colors = ("red", "green", "blue", "yellow", "black", "gray")
    images = [
        replace(image, name=f"{color}.png", place=ImageFile(folder, f"{color}.png"))
        for image, color in zip(made.images, colors, strict=True)
    ]
    # Images of a split that is not measured are not embedded, and places move up.
    other = image_called("orange.png", "x", "y", split="val")
    dataset = replace(
        made,
        images=[other, *images],
        image_pairs=moved(made.image_pairs, 1),
        caption_image_pairs=[
            replace(pair, first=pair.first + 2, second=pair.second + 1)
            for pair in made.caption_image_pairs
        ],
        caption_pairs=moved(made.caption_pairs, 2),
    )

    result = run_on(dataset, TASK, model=model_folder, root=tmp_path, monkeypatch=monkeypatch)
    html, markdown = report_on(tmp_path)

    assert result.num_outputs == 6
    for part in (
        "6 images and 12 captions of <em>cxc</em>",
        "rated 3 or more, and two captions of one image",
        "text to text<small>12 queries",
        "a caption and an image (SITS)",
        "mean of the three",
        "cxc: images to images",
    ):
        assert part in html, part
    assert html.count('class="query"') == 6
    assert "| two images (SIS) | 6 |" in markdown
    assert "### cxc: sampled images" in markdown
