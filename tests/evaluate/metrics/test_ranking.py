"""Ranks, ties, recall and chance on matrices small enough to check by eye."""

# ruff: noqa: N803  # capitals are shape suffixes

import itertools
import math

import numpy as np
import pytest
from embedded import ranked

from openalign.evaluate.metrics import vectors
from openalign.evaluate.metrics.bootstrap import Bootstrap, Ints
from openalign.evaluate.metrics.ranking import (
    RightItems,
    chance_recall,
    difference_of,
    even_weights,
    mean_of,
    ranks_of,
    recalls,
)
from openalign.evaluate.metrics.resampled import Resampled
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.results import Metric

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
    found = ranks_of(scores_QG, unit, RightItems.by_owner(query_owner, gallery_owner))
    return found.rank_Q.tolist()


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

    found = ranks_of(same, same, RightItems.one_each(np.arange(4)))

    assert found.rank_Q.tolist() == [3, 3, 3, 3]
    assert found.hits((1, 3, 4)).mean(axis=0).tolist() == [0, 0, 1]
    # In random order one of four: the first place in a quarter of the orders.
    assert found.expected_hits((1, 3, 4)).mean(axis=0).tolist() == [0.25, 0.75, 1]


def test_an_embedding_that_is_not_a_number_is_a_miss() -> None:
    broken = SCORES.copy()
    broken[0, 0] = np.nan  # an own caption of image 0
    broken[1] = np.nan  # all scores of image 1

    # Images 0 and 1 come behind all six captions of the others; 2 and 3 are as they were.
    assert ranks_in(broken, np.arange(4), OWNER_OF_CAPTION) == [6, 6, 1, 0]
    unit = np.eye(8, dtype=np.float32)
    found = ranks_of(broken, unit, RightItems.by_owner(np.arange(4), OWNER_OF_CAPTION))
    assert (found.above_Q.tolist(), found.tied_Q.tolist()) == ([6, 6, 0, 0], [0, 0, 1, 0])


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

    found = ranks_of(query, gallery, RightItems.by_owner(query_owner, gallery_owner))

    assert found.rank_Q.tolist() == slow_ranks(query, gallery, query_owner, gallery_owner)


def test_an_item_that_is_left_out_is_neither_before_nor_tied() -> None:
    # Each image searches the images, itself left out. Row 0: own 1 (.5); 2 (.7) before it, 3 tied.
    scores = np.array([[1, 0.5, 0.7, 0.5], [0.9, 1, 0.2, 0.1]], dtype=np.float32)
    unit = np.eye(4, dtype=np.float32)

    found = ranks_of(scores, unit, RightItems.one_each(np.array([1, 0])), left_out_Q=np.arange(2))

    assert found.above_Q.tolist() == [1, 0]
    assert found.tied_Q.tolist() == [1, 0]


# Scores of five items; which of them are right; how many are asked for.
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("scores", "right"),
    [
        pytest.param([5, 5, 5, 5, 5], [0], id="all tie, one right"),
        pytest.param([5, 5, 5, 5, 5], [0, 3], id="all tie, two right"),
        pytest.param([7, 5, 5, 5, 3], [1], id="one above, two tie"),
        pytest.param([7, 5, 5, 5, 3], [1, 2], id="one above, one of three is wrong"),
        pytest.param([7, 5, 5, 3, 3], [2, 3, 4], id="the best right one counts"),
        pytest.param([7, 6, 5, 4, 3], [2, 4], id="no tie"),
        pytest.param([5, 5, 3, 2, 1], [0, 1], id="only right ones tie"),
    ],
)
def test_the_expected_hit_is_the_share_of_all_orders(
    scores: list[int], right: list[int], k: int
) -> None:
    def is_hit(order: tuple[int, ...]) -> bool:
        first = sorted(order, key=lambda item: -scores[item])[:k]  # stable: ties as in the order
        return bool(set(first) & set(right))

    orders = list(itertools.permutations(range(5)))
    one_query = np.array([scores], dtype=np.float32)

    found = ranks_of(one_query, np.eye(5, dtype=np.float32), RightItems.of([right]))

    share = sum(map(is_hit, orders)) / len(orders)
    assert found.expected_hits([k])[0, 0] == pytest.approx(share, abs=1e-12)
    assert bool(found.hits([k])[0, 0]) == all(map(is_hit, orders))


def test_recall_counts_ranks_below_k() -> None:
    found = recalls(
        "a/b",
        ranked([0, 1, 4, 5, 9, 10]),
        at={1: "first", 5: "fifth"},
        group_Q=np.arange(6),
        chance=[0.05, 0.25],
        bootstrap=BOOTSTRAP,
    )

    assert [(m.metric.name, m.metric.value) for m in found] == [
        ("a/b/first", pytest.approx(1 / 6)),
        ("a/b/fifth", pytest.approx(3 / 6)),
    ]
    assert [m.metric.chance for m in found] == [0.05, 0.25]
    assert all(m.metric.low <= m.metric.value <= m.metric.high for m in found)
    assert all(m.metric.n == 6 and m.value_R.shape == (50,) for m in found)
    assert [m.metric.ties_at_random for m in found] == [None, None]


def test_the_value_under_ties_at_random_stands_beside_where_it_differs() -> None:
    # 40 queries, of which two share the first place with a duplicate: 38/40 and 39/40, as a data
    # set with 5 % duplicated images has them. Both are among the first five whatever the order.
    found = recalls(
        "a",
        ranked([1, 1] + [0] * 38, tied=[1, 1] + [0] * 38),
        at={1: "first", 5: "fifth"},
        group_Q=np.arange(40),
        chance=[0, 0],
        bootstrap=BOOTSTRAP,
    )

    assert [m.metric.value for m in found] == [0.95, 1.0]
    assert [m.metric.ties_at_random for m in found] == [pytest.approx(0.975), None]


def test_even_weights_make_the_mean_over_queries_the_mean_over_parts() -> None:
    # Parts of 1 and 3 queries: (1 + 1/3) / 2 = 2/3, where the mean over queries is 1/2.
    weights = even_weights(np.array([4, 9, 9, 9]))

    found = recalls(
        "a",
        ranked([0, 0, 1, 1]),
        at={1: "first"},
        group_Q=np.arange(4),
        chance=[0],
        bootstrap=BOOTSTRAP,
        weight_Q=weights,
    )

    assert weights.mean() == pytest.approx(1.0)
    assert found[0].metric.value == pytest.approx(2 / 3)
    assert chance_recall(
        1, np.ones(4, dtype=int), np.array([2, 4, 4, 4]), weight_Q=weights
    ) == pytest.approx((1 / 2 + 1 / 4) / 2)


def resampled(
    value: float, values: list[float], *, chance: float, ties: float | None = None
) -> Resampled:
    metric = Metric(name="a", value=value, low=0, high=1, n=9, chance=chance, ties_at_random=ties)
    return Resampled(metric=metric, value_R=np.array(values))


def test_the_interval_of_a_mean_is_that_of_paired_resamples() -> None:
    # What one loses the other gains, resample by resample: the mean never moves.
    parts = [
        resampled(0.4, [0.1, 0.5, 0.7], chance=0.1),
        resampled(0.6, [0.9, 0.5, 0.3], chance=0.3, ties=0.8),
    ]

    found = mean_of("b", parts, n=9, bootstrap=BOOTSTRAP).metric

    assert (found.name, found.n) == ("b", 9)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))
    assert found.chance == pytest.approx(0.2)
    assert found.ties_at_random == pytest.approx((0.4 + 0.8) / 2)


def test_a_difference_is_that_of_paired_resamples() -> None:
    base = resampled(0.4, [0.1, 0.5, 0.7], chance=0.1)
    part = resampled(0.6, [0.3, 0.7, 0.9], chance=0.3, ties=0.9)

    gain = difference_of("gain", part, base, bootstrap=BOOTSTRAP)

    found = gain.metric
    np.testing.assert_allclose(gain.value_R, [0.2, 0.2, 0.2])
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert found.ties_at_random == pytest.approx(0.5)
    assert found.chance == 0.0


def test_chance_is_one_minus_all_right_items_missed() -> None:
    # Two right ones among five, K = 2: 1 - C(3,2)/C(5,2) = 1 - 3/10.
    assert chance_recall(2, np.array([2]), np.array([5])) == pytest.approx(0.7)
    # Averaged with a query that has one right answer: (0.7 + 2/5) / 2.
    assert chance_recall(2, np.array([2, 1]), np.array([5, 5])) == pytest.approx(0.55)
    # More places than there are wrong answers.
    assert chance_recall(4, np.array([2]), np.array([5])) == 1.0


def test_chance_equals_counting_every_order() -> None:
    hits = [min(order.index(0), order.index(1)) < 2 for order in itertools.permutations(range(5))]

    assert chance_recall(2, np.array([2]), np.array([5])) == pytest.approx(
        sum(hits) / math.factorial(5)
    )


def test_paper_mean_recall_is_the_mean_of_the_six_recalls() -> None:
    # ALIGN, zero-shot, Flickr30K: Table 1 has the six recalls, Table 11 the mean recall of English.
    table_1 = [88.6, 98.7, 99.7, 75.7, 93.8, 96.8]
    parts = [resampled(value / 100, [0.0], chance=0) for value in table_1]

    assert round(100 * mean_of("m", parts, n=1, bootstrap=BOOTSTRAP).metric.value, 1) == 92.2
