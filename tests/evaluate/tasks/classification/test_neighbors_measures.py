"""Nearest neighbors on a few images, whose embeddings are written down or drawn."""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence

import numpy as np
import pytest
from embedded import embedded_benchmark, image_called, random_rows

from openalign.evaluate.datasets.dataset import Dataset, ImageClass
from openalign.evaluate.metrics.bootstrap import Bootstrap, Ints
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.classification import neighbors, neighbors_measures
from openalign.evaluate.tasks.classification.neighbors import (
    Neighbor,
    NeighborsExamples,
    NeighborsFacts,
    NeighborsQuery,
    NeighborsTask,
)
from openalign.evaluate.tasks.classification.neighbors_measures import find
from openalign.evaluate.tasks.contract import Material, Measured, Sampling
from openalign.evaluate.tasks.per_class import ClassScore, ConfusedPair

SAMPLING = Sampling(bootstrap=Bootstrap(resamples=50, confidence=0.9, seed=0), num_examples=9)
MeasuredNeighbors = Measured[NeighborsFacts, NeighborsExamples]


def labelled(
    train: Sequence[tuple[int, Sequence[float]]], test: Sequence[tuple[int, Sequence[float]]]
) -> EmbeddedBenchmark:
    """Return images of two splits, each with its class and its embedding."""
    both = [("train", *each) for each in train] + [("test", *each) for each in test]
    dataset = Dataset(
        images=[
            image_called(f"{split}/{at}.png", split=split, label=label)
            for at, (split, label, _) in enumerate(both)
        ],
        classes=tuple(ImageClass(id=name) for name in ("cat", "dog", "fox")),
    )
    return embedded_benchmark(dataset, [row for _, _, row in both])


def measured(benchmark: EmbeddedBenchmark) -> MeasuredNeighbors:
    task = NeighborsTask(benchmark="pets")
    return neighbors.measure(task, Material(benchmark=benchmark, texts={}), SAMPLING)


def by_name(found: MeasuredNeighbors) -> dict[str, Metric]:
    return {metric.name.removeprefix("neighbors/pets/"): metric for metric in found.metrics}


def angle(degrees: float) -> tuple[float, float]:
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


# Cats at 0 and 10 degrees, dogs at 90, 100 ... 140. A cat asks at 4; a cat among the dogs at 115
# has all six dogs before it; a dog asks at 47: the cat at 10 (37 away) comes before the dog at 90.
TRAIN = [
    (0, angle(0)),
    (0, angle(10)),
    *((1, angle(degrees)) for degrees in range(90, 150, 10)),
]
TEST = [(0, angle(4)), (0, angle(116)), (1, angle(47))]


def test_a_hit_at_k_has_its_class_among_the_k_nearest() -> None:
    found = by_name(measured(labelled(TRAIN, TEST)))

    # Places of the first of their class: 1, 7, and 3 (both cats come first).
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(
        {"recall_at_1": 1 / 3, "recall_at_5": 2 / 3, "recall_at_10": 1.0}
    )
    assert all(metric.ties_at_random is None and metric.n == 3 for metric in found.values())
    # Of eight images two are cats: one of five is one with the chance 1 - C(6, 5) / C(8, 5).
    cat, dog = 1 - 6 / 56, 1.0
    assert [metric.chance for metric in found.values()] == pytest.approx(
        [(2 / 8 + 2 / 8 + 6 / 8) / 3, (2 * cat + dog) / 3, 1.0]
    )


def test_what_is_kept_of_images_and_classes() -> None:
    found = measured(labelled(TRAIN, TEST))

    assert found.facts == NeighborsFacts(
        split="test",
        train_split="train",
        num_images=3,
        num_train_images=8,
        num_classes=3,
        num_without_class=0,
    )
    images = {image.image: image for image in found.examples.images}
    assert images["test/10.png"] == NeighborsQuery(
        image="test/10.png",
        title="dog",
        hit_at=5,
        first=(
            Neighbor(image="train/1.png", title="cat"),
            Neighbor(image="train/2.png", title="dog"),
            Neighbor(image="train/0.png", title="cat"),
            Neighbor(image="train/3.png", title="dog"),
            Neighbor(image="train/4.png", title="dog"),
        ),
    )
    assert [images[f"test/{at}.png"].hit_at for at in (8, 9, 10)] == [1, 10, 5]
    assert found.examples.classes == (
        ClassScore(
            title="cat", num_images=2, hit_at_1=0.5, hit_at_5=0.5, taken_for="dog", num_taken=1
        ),
        ClassScore(
            title="dog", num_images=1, hit_at_1=0.0, hit_at_5=1.0, taken_for="cat", num_taken=1
        ),
    )
    assert found.examples.confused[0] == ConfusedPair(
        title="cat",
        taken_for="dog",
        num_taken=1,
        num_images=2,
        image="test/9.png",
        other="test/10.png",
    )
    assert {"test/8.png", "train/0.png", "train/1.png"} <= found.shown


def test_a_class_without_a_training_image_is_a_miss() -> None:
    found = measured(labelled(TRAIN[:4], [(2, angle(0)), (0, angle(0))]))

    assert [metric.value for metric in found.metrics] == [0.5, 0.5, 0.5]
    assert [metric.chance for metric in found.metrics] == pytest.approx([1 / 4, 1 / 2, 1 / 2])
    assert found.facts.num_without_class == 1


def test_a_collapsed_model_has_no_hit_and_its_chance_is_to_be_expected() -> None:
    # More training images than are looked at first, so all of them must be counted.
    train = [(at % 3, (1.0, 0.0)) for at in range(60)]

    found = measured(labelled(train, [(0, (1.0, 0.0)), (1, (1.0, 0.0))]))

    assert [metric.value for metric in found.metrics] == [0.0, 0.0, 0.0]
    for metric in found.metrics:
        assert metric.ties_at_random == pytest.approx(metric.chance)


@pytest.mark.parametrize(
    ("num_above", "expected"),
    [
        # One place is left for thirty that tie, ten of which are right.
        pytest.param(9, 1 / 3, id="a place is left"),
        pytest.param(10, None, id="no place is left"),
    ],
)
def test_a_tie_on_the_last_place_is_counted_to_its_end(
    num_above: int, expected: float | None
) -> None:
    nearer = [(1, angle(1))] * num_above
    tied = [(0 if at < 10 else 2, angle(5)) for at in range(30)]

    found = by_name(measured(labelled([*nearer, *tied], [(0, angle(0))])))

    assert found["recall_at_10"].value == 0.0
    assert found["recall_at_10"].ties_at_random == (expected and pytest.approx(expected))


def slow_ranks(
    query_QD: Vectors, gallery_GD: Vectors, label_Q: Ints, label_G: Ints
) -> list[tuple[int, int, int]]:
    """Count, one pair at a time, what the definition says."""
    found: list[tuple[int, int, int]] = []
    for query, label in zip(query_QD.astype(float), label_Q, strict=True):
        scores = [
            (float(query @ item), int(of)) for item, of in zip(gallery_GD, label_G, strict=True)
        ]
        best = max(score for score, of in scores if of == label)
        ties = [of for score, of in scores if abs(score - best) <= 1e-6]
        above = sum(score > best + 1e-6 for score, of in scores if of != label)
        found.append((above, sum(of != label for of in ties), sum(of == label for of in ties)))
    return found


@pytest.mark.parametrize("kept", [11, 16, 300], ids=["few", "some", "all"])
def test_recall_equals_the_slow_count_however_many_are_looked_at_first(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 200 training images on 25 spots, eight on each: every score is a tie of eight.
    monkeypatch.setattr(neighbors_measures, "_KEPT", kept)
    random = np.random.default_rng(5)
    spots = unit_rows(np.array(random_rows(25, 6, seed=1)))
    gallery_GD = spots[random.permutation(np.arange(200) % 25)]
    label_G = random.integers(0, 12, 200)
    query_QD = unit_rows(spots[np.arange(40) % 25] + 0.2 * np.array(random_rows(40, 6, seed=2)))
    label_Q = random.integers(0, 12, 40)

    found = find(query_QD, gallery_GD, label_Q=label_Q, label_G=label_G).ranks

    slow = slow_ranks(query_QD, gallery_GD, label_Q, label_G)
    close = [at for at, (above, _, _) in enumerate(slow) if above < 10]
    assert 5 < len(close) < 40
    ranks = np.stack([found.above_Q, found.tied_Q, found.right_tied_Q], axis=1)
    assert [tuple(ranks[at].tolist()) for at in close] == [slow[at] for at in close]
    assert all(found.above_Q[at] >= 10 for at in range(40) if at not in close)


def test_splits_that_are_mixed_are_told_apart() -> None:
    """Rows of one split that do not follow each other are the same images."""
    sorted_first = labelled(TRAIN, TEST)
    order = [8, 0, 1, 9, 2, 3, 4, 5, 10, 6, 7]
    images = [sorted_first.dataset.images[at] for at in order]
    mixed = embedded_benchmark(
        Dataset(images=images, classes=sorted_first.dataset.classes),
        sorted_first.image_GD[order].tolist(),
    )

    assert by_name(measured(mixed)) == by_name(measured(sorted_first))
