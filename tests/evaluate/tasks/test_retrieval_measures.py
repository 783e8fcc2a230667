"""Ranks, recall and chance on matrices small enough to check by eye."""

# ruff: noqa: N803  # capitals are shape suffixes

import itertools
import math

import numpy as np
import pytest

from openalign.evaluate import vectors
from openalign.evaluate.bootstrap import Bootstrap, Ints
from openalign.evaluate.tasks.retrieval_measures import (
    chance_median_rank,
    chance_recall,
    rank_metrics,
    ranks_of,
)
from openalign.evaluate.vectors import Vectors

BOOTSTRAP = Bootstrap(resamples=50, confidence=0.9, seed=0)

# Four images, two captions each. Row: image; column: caption; captions 2i and 2i+1 belong to i.
SCORES = np.array(
    [
        # 0a   0b   1a   1b   2a   2b   3a   3b
        [0.9, 0.1, 0.8, 0.2, 0.3, 0.0, 0.0, 0.0],  # best own .9: first
        [0.5, 0.6, 0.4, 0.3, 0.0, 0.0, 0.7, 0.0],  # best own .4: .5 .6 .7 before it
        [0.0, 0.0, 0.0, 0.0, 0.5, 0.4, 0.5, 0.0],  # best own .5, tied with 3a: one before it
        [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9],  # best own .9: first; its other caption is .8
    ],
    dtype=np.float32,
)
OWNER_OF_CAPTION = np.repeat(np.arange(4), 2)


def ranks_in(scores_QG: Vectors, query_owner: Ints, gallery_owner: Ints) -> list[int]:
    """Give each gallery item an axis of its own, so that the products are the given scores."""
    unit = np.eye(scores_QG.shape[1], dtype=np.float32)
    found = ranks_of(scores_QG, unit, query_owner_Q=query_owner, gallery_owner_G=gallery_owner)
    return [int(rank) for rank in found]


def slow_ranks(
    query_QD: Vectors, gallery_GD: Vectors, query_owner: Ints, gallery_owner: Ints
) -> list[int]:
    """Count, one pair at a time, what the definition says."""
    found: list[int] = []
    for query, owner in zip(query_QD, query_owner, strict=True):
        scores = [float(np.dot(query.astype(float), item.astype(float))) for item in gallery_GD]
        own = max(s for s, o in zip(scores, gallery_owner, strict=True) if o == owner)
        found.append(
            sum(s >= own - 1e-6 for s, o in zip(scores, gallery_owner, strict=True) if o != owner)
        )
    return found


def test_an_image_is_found_by_its_best_own_caption() -> None:
    assert ranks_in(SCORES, np.arange(4), OWNER_OF_CAPTION) == [0, 3, 1, 0]


def test_a_caption_has_one_image() -> None:
    # Down the columns: e.g. 0b is .1 for its image, .6 and .2 for images 1 and 3.
    # 1a: .4 for its image, .8 for image 0. 1b: .3, and .4 for image 3.
    # 2a: .5, and .6. 2b: .4, and .7. 3a: .8. 3b: .9.
    assert ranks_in(SCORES.T, OWNER_OF_CAPTION, np.arange(4)) == [0, 2, 1, 1, 1, 1, 0, 0]


def test_a_collapsed_model_finds_nothing() -> None:
    same = np.ones((4, 3), dtype=np.float32) / np.sqrt(np.float32(3))

    found = ranks_of(same, same, query_owner_Q=np.arange(4), gallery_owner_G=np.arange(4))

    assert found.tolist() == [3, 3, 3, 3]


def test_an_embedding_that_is_not_a_number_is_a_miss() -> None:
    broken = SCORES.copy()
    broken[0, 0] = np.nan  # an own caption of image 0
    broken[1] = np.nan  # all scores of image 1

    # Images 0 and 1 come behind all six captions of the others; 2 and 3 are as they were.
    assert ranks_in(broken, np.arange(4), OWNER_OF_CAPTION) == [6, 6, 1, 0]


@pytest.mark.parametrize("at_once", [1, 64, 1 << 24], ids=["row by row", "some rows", "whole"])
def test_ranks_equal_the_slow_count_whatever_the_blocks(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_SCORES_AT_ONCE", at_once)
    random = np.random.default_rng(3)
    query, gallery = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (random.normal(size=(n, 8)).astype(np.float32) for n in (17, 31))
    )
    gallery[5] = gallery[20]  # a tie between two owners
    gallery_owner = random.permutation(np.arange(31) % 17)
    query_owner = np.arange(17)

    found = ranks_of(query, gallery, query_owner_Q=query_owner, gallery_owner_G=gallery_owner)

    assert found.tolist() == slow_ranks(query, gallery, query_owner, gallery_owner)


def test_recall_counts_ranks_below_k_and_the_median_counts_from_one() -> None:
    found = rank_metrics(
        "a/b",
        np.array([0, 1, 4, 5, 9, 10]),
        group_Q=np.arange(6),
        num_own_Q=np.ones(6, dtype=np.int64),
        num_gallery=20,
        bootstrap=BOOTSTRAP,
    )

    assert [(m.name, m.value) for m in found] == [
        ("a/b/recall_at_1", pytest.approx(1 / 6)),
        ("a/b/recall_at_5", pytest.approx(3 / 6)),
        ("a/b/recall_at_10", pytest.approx(5 / 6)),
        ("a/b/median_rank", 5.0),
    ]
    assert [m.chance for m in found] == pytest.approx([0.05, 0.25, 0.5, 10.0])
    assert [m.higher_is_better for m in found] == [True, True, True, False]
    assert all(m.low <= m.value <= m.high and m.n == 6 for m in found)


def test_chance_is_one_minus_all_own_captions_missed() -> None:
    # Two right ones among five, K = 2: 1 - C(3,2)/C(5,2) = 1 - 3/10.
    assert chance_recall(2, np.array([2]), 5) == pytest.approx(0.7)
    # Averaged with a query that has one right answer: (0.7 + 2/5) / 2.
    assert chance_recall(2, np.array([2, 1]), 5) == pytest.approx(0.55)
    # More places than there are wrong answers.
    assert chance_recall(4, np.array([2]), 5) == 1.0


def test_chance_equals_counting_every_order() -> None:
    hits = [min(order.index(0), order.index(1)) < 2 for order in itertools.permutations(range(5))]

    assert chance_recall(2, np.array([2]), 5) == pytest.approx(sum(hits) / math.factorial(5))


@pytest.mark.parametrize(
    ("num_own", "num_gallery", "expected"),
    [
        pytest.param(1, 10, 5, id="even"),
        pytest.param(1, 11, 6, id="odd"),
        # 1 - C(8,K)/C(10,K): K=2 gives 0.378, K=3 gives 0.533.
        pytest.param(2, 10, 3, id="two right answers"),
    ],
)
def test_chances_median_rank(num_own: int, num_gallery: int, expected: int) -> None:
    assert chance_median_rank(np.array([num_own]), num_gallery) == expected
