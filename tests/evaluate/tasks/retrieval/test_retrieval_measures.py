"""Retrieval on a few images, whose embeddings are written down by hand or drawn at random."""

from typing import Any

import numpy as np
import pytest
from embedded import embedded_benchmark, image_called, random_rows

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.contract import Material, Sampling
from openalign.evaluate.tasks.retrieval import retrieval
from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask

SAMPLING = Sampling(bootstrap=Bootstrap(resamples=50, confidence=0.9, seed=0), num_examples=4)
TASK = RetrievalTask(benchmark="pets")


def metrics_of(benchmark: EmbeddedBenchmark, task: RetrievalTask = TASK) -> dict[str, Metric]:
    found = retrieval.measure(task, Material(benchmark=benchmark, texts={}), SAMPLING)
    return {metric.name.removeprefix("retrieval/pets/"): metric for metric in found.metrics}


def images_with_captions(nums: list[int], *, split: str = "test") -> Dataset:
    return Dataset(
        images=[
            image_called(f"{at}.png", *(f"{at} {text}" for text in range(num)), split=split)
            for at, num in enumerate(nums)
        ]
    )


# Four images on the axes of a plane, each with a caption; the captions of 1 and 2 are swapped.
AXES = [[1, 0], [0, 1], [-1, 0], [0, -1]]
SWAPPED = embedded_benchmark(
    images_with_captions([1, 1, 1, 1]), AXES, [AXES[0], AXES[2], AXES[1], AXES[3]]
)


def test_both_directions_and_their_mean() -> None:
    found = metrics_of(SWAPPED)

    # Captions 0 and 3 find their images first. Caption 1 lies on image 2: image 2, then 1 and 3
    # (0 and 0: a tie), so image 1 comes at place 3. Caption 2 lies on image 1, image 2 at place 3.
    values = {name: metric.value for name, metric in found.items()}
    assert values == {
        "split/text_to_image/recall_at_1": 0.5,
        "split/text_to_image/recall_at_5": 1.0,
        "split/text_to_image/recall_at_10": 1.0,
        "split/text_to_image/median_rank": 1.0,
        "split/image_to_text/recall_at_1": 0.5,
        "split/image_to_text/recall_at_5": 1.0,
        "split/image_to_text/recall_at_10": 1.0,
        "split/image_to_text/median_rank": 1.0,
        "split/mean_recall": pytest.approx((0.5 + 1 + 1) / 3),
    }
    mean = found["split/mean_recall"]
    assert mean.n == 8
    assert mean.low < mean.value < mean.high
    assert mean.chance == pytest.approx((0.25 + 1 + 1) / 3)


def test_median_rank_counts_from_one_and_chance_is_that_of_a_random_order() -> None:
    rows = random_rows(11, 4, seed=0)
    nothing_fits = embedded_benchmark(
        images_with_captions([1] * 11), rows, [[-x for x in row] for row in rows]
    )

    found = metrics_of(nothing_fits)

    # Each caption is the opposite of its image, which therefore comes last of the eleven.
    assert found["split/text_to_image/median_rank"].value == 11
    assert found["split/text_to_image/median_rank"].chance == 6  # 6/11 is the first above a half
    assert not found["split/text_to_image/median_rank"].higher_is_better


@pytest.mark.parametrize(
    ("num_own", "num_images", "expected"),
    [
        pytest.param(1, 10, 5, id="even"),
        pytest.param(1, 11, 6, id="odd"),
        # Ten captions, 1 - C(8,K)/C(10,K): K=2 gives 0.378, K=3 gives 0.533.
        pytest.param(2, 5, 3, id="two right answers"),
    ],
)
def test_chances_median_rank(num_own: int, num_images: int, expected: int) -> None:
    benchmark = embedded_benchmark(
        images_with_captions([num_own] * num_images),
        random_rows(num_images, 4, seed=0),
        random_rows(num_images * num_own, 4, seed=1),
    )

    assert metrics_of(benchmark)["split/image_to_text/median_rank"].chance == expected


def test_folds_are_runs_of_consecutive_images() -> None:
    # In halves, each caption has one image beside its own. Caption 1 has image 0 (-1, its own 0),
    # caption 2 has image 3 (-1, its own 0): all are found first.
    found = metrics_of(SWAPPED, RetrievalTask(benchmark="pets", folds=2))

    assert found["folds/text_to_image/recall_at_1"].value == 1.0
    assert found["folds/text_to_image/recall_at_1"].chance == pytest.approx(0.5)
    # The other way, image 1 has both captions at 0, and so has image 2: misses, or halves.
    assert found["folds/image_to_text/recall_at_1"].value == 0.5
    assert found["folds/image_to_text/recall_at_1"].ties_at_random == pytest.approx(0.75)
    assert found["folds/mean_recall"].value == pytest.approx(5.5 / 6)
    assert found["folds/mean_recall"].ties_at_random == pytest.approx(5.75 / 6)
    assert found["split/text_to_image/recall_at_1"].value == 0.5


def test_duplicated_images_are_misses_and_half_a_hit_in_random_order() -> None:
    # Images 0 and 1 are one image twice, and so are their captions.
    twice = embedded_benchmark(
        images_with_captions([1, 1, 1]), [AXES[0], AXES[0], AXES[1]], [AXES[0], AXES[0], AXES[1]]
    )

    found = metrics_of(twice)

    for direction in ("text_to_image", "image_to_text"):
        assert found[f"split/{direction}/recall_at_1"].value == pytest.approx(1 / 3)
        assert found[f"split/{direction}/recall_at_1"].ties_at_random == pytest.approx(2 / 3)
        assert found[f"split/{direction}/recall_at_5"].ties_at_random is None
    assert found["split/mean_recall"].value == pytest.approx((1 / 3 + 1 + 1) / 3)
    assert found["split/mean_recall"].ties_at_random == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_the_mean_over_folds_equals_measuring_each_fold_alone() -> None:
    nums = [1, 2, 3, 1, 5, 4, 2, 1, 1, 3, 2]  # eleven images: folds of 4, 4 and 3
    dataset = images_with_captions(nums)
    images, captions = random_rows(11, 5, seed=2), random_rows(sum(nums), 5, seed=3)
    whole = embedded_benchmark(dataset, images, captions)
    ends = np.cumsum([0, *nums])
    thirds = [
        embedded_benchmark(
            Dataset(images=dataset.images[first:after]),
            images[first:after],
            captions[ends[first] : ends[after]],
        )
        for first, after in ((0, 4), (4, 8), (8, 11))
    ]

    found = metrics_of(whole, RetrievalTask(benchmark="pets", folds=3))

    alone = [metrics_of(third) for third in thirds]
    for name in ("text_to_image/recall_at_1", "image_to_text/recall_at_5", "mean_recall"):
        expected = np.mean([each[f"split/{name}"].value for each in alone])
        assert found[f"folds/{name}"].value == pytest.approx(expected)
        chance = np.mean([each[f"split/{name}"].chance for each in alone])
        assert found[f"folds/{name}"].chance == pytest.approx(chance)


def test_facts_say_how_large_the_galleries_were() -> None:
    task = RetrievalTask(benchmark="pets", folds=2)

    facts = retrieval.measure(task, Material(benchmark=SWAPPED, texts={}), SAMPLING).facts

    assert (facts.num_folds, facts.num_fold_images, facts.num_images) == (2, 2, 4)


@pytest.mark.parametrize(
    ("nums", "folds", "message"),
    [
        pytest.param([1] * 2, 3, "the 2 images of split `test` make no 3 folds", id="too few"),
        pytest.param([1, 0], None, r"image 1\.png of split `test` has no caption", id="no caption"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    nums: list[int], folds: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        retrieval.needs(RetrievalTask(benchmark="pets", folds=folds), images_with_captions(nums))


def test_an_image_without_captions_may_stand_in_the_larger_gallery() -> None:
    rest = image_called("rest.png", split="rest")
    dataset = Dataset(images=[*images_with_captions([1, 1]).images, rest])

    needed = retrieval.needs(TASK, dataset)

    assert needed.captions
    benchmark = embedded_benchmark(dataset, AXES[:3], [AXES[0], AXES[2]])
    # Caption 1 lies on the image without captions, its own at the third place of three.
    assert metrics_of(benchmark)["gallery/text_to_image/recall_at_1"].value == 0.5


@pytest.mark.parametrize(
    ("asked", "gallery"),
    [
        pytest.param({}, None, id="every split"),
        pytest.param({"gallery_splits": None}, {"val"}, id="the split alone"),
        pytest.param({"gallery_splits": ("rest",)}, {"val", "rest"}, id="one more"),
        pytest.param({"split": "rest", "gallery_splits": None}, {"rest"}, id="another split"),
    ],
)
def test_queries_come_from_the_data_sets_own_test_split_unless_one_is_named(
    asked: dict[str, Any], gallery: set[str] | None
) -> None:
    splits = ("val", "rest", "train")
    images = [image_called(f"{split}.png", f"a {split}", split=split) for split in splits]
    dataset = Dataset(images=images, test_split="val")
    material = Material(benchmark=embedded_benchmark(dataset, AXES[:3], AXES[:3]), texts={})
    task = RetrievalTask(benchmark="pets", **asked)

    facts = retrieval.measure(task, material, SAMPLING).facts

    assert retrieval.needs(task, dataset).splits == gallery
    assert facts.split == asked.get("split", "val")
    assert facts.gallery_splits == tuple(sorted(gallery or splits))


def test_one_fold_is_no_fold() -> None:
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        RetrievalTask(benchmark="pets", folds=1)


def test_numbers_without_ties_are_those_of_clip_benchmark() -> None:
    scorer = pytest.importorskip(
        "clip_benchmark.metrics.zeroshot_retrieval", reason="an oracle, not a dependency"
    )
    torch = pytest.importorskip("torch")
    nums = [1, 2, 3, 4, 5] * 6
    benchmark = embedded_benchmark(
        images_with_captions(nums),
        random_rows(len(nums), 8, seed=4),
        random_rows(sum(nums), 8, seed=5),
    )
    scores = torch.tensor(benchmark.captions_embedded @ benchmark.image_GD.T)
    right = torch.zeros_like(scores, dtype=torch.bool)
    right[torch.arange(len(scores)), torch.tensor(benchmark.owner_G)] = True

    found = metrics_of(benchmark)

    for k in (1, 5, 10):
        for direction, s, r in (
            ("text_to_image", scores, right),
            ("image_to_text", scores.T, right.T),
        ):
            expected = (scorer.recall_at_k(s, r, k) > 0).float().mean().item()
            assert found[f"split/{direction}/recall_at_{k}"].value == pytest.approx(expected)
            assert found[f"split/{direction}/recall_at_{k}"].ties_at_random is None
