"""Image-text retrieval (ALIGN §5.1): recall at K in both directions, on embeddings alone.

A query's rank is the number of gallery items of *other* pictures that score as high as its best own
item: 0 is the first place, and a tie counts as a miss. So a collapsed model, for which everything
is equal, scores zero and not one, and so does one whose embeddings are NaN.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from openalign.evaluate.bootstrap import (
    Bootstrap,
    Ints,
    lower_median,
    mean_intervals,
    median_interval,
)
from openalign.evaluate.results import Metric

Rows = npt.NDArray[np.float32]

RECALL_AT = (1, 5, 10)
"""The K of the paper's tables."""

TIE = np.float32(1e-6)
"""Cosines closer than this are equal: float32 cannot tell them apart whatever the blocking."""

_SCORES_AT_ONCE = 1 << 24
"""Scores held in memory at a time: 64 MiB, so 100k x 100k never is one matrix."""


def ranks(query_QD: Rows, gallery_GD: Rows, *, query_owner_Q: Ints, gallery_owner_G: Ints) -> Ints:
    """Return each query's rank, 0 for the first place.

    Own items are those with the query's owner (its picture's number). A query needs at least one.
    """
    own_G = np.argsort(gallery_owner_G, kind="stable")
    first_Q = np.searchsorted(gallery_owner_G[own_G], query_owner_Q, side="left")
    after_Q = np.searchsorted(gallery_owner_G[own_G], query_owner_Q, side="right")
    assert bool((first_Q < after_Q).all()), "a query has no item of its own in the gallery"
    found_Q = np.empty(len(query_QD), dtype=np.int64)
    for rows, scores in score_blocks(query_QD, gallery_GD):
        for query, score_G in zip(range(len(query_QD))[rows], scores, strict=True):
            own = own_G[first_Q[query] : after_Q[query]]
            reached = ~(score_G < score_G[own].max() - TIE)  # not `>=`: NaN must count as a miss
            found_Q[query] = np.count_nonzero(reached) - np.count_nonzero(reached[own])
    return found_Q


def unit_rows(rows: npt.NDArray[np.floating[Any]]) -> Rows:
    """Scale each row to length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


def score_blocks(query_QD: Rows, gallery_GD: Rows) -> Iterator[tuple[slice, Rows]]:
    """Yield the cosines of some queries with the whole gallery, block by block."""
    step = max(1, _SCORES_AT_ONCE // max(1, len(gallery_GD)))
    for start in range(0, len(query_QD), step):
        rows = slice(start, min(start + step, len(query_QD)))
        yield rows, query_QD[rows] @ gallery_GD.T


def best(score_G: Rows, k: int) -> list[int]:
    """Return the places of the k highest scores, the earlier one first where two are equal."""
    return [int(place) for place in np.argsort(-score_G, kind="stable")[:k]]


def measure(
    prefix: str, rank_Q: Ints, *, group_Q: Ints, num_own_Q: Ints, num_gallery: int, how: Bootstrap
) -> list[Metric]:
    """Return recall at K and the median rank (1 is the first place) with intervals and chance.

    `group_Q` is the picture of each query: pictures are what the bootstrap draws. `num_own_Q` is
    how many right answers each query has in the gallery.
    """
    hit_QK = np.stack([rank_Q < k for k in RECALL_AT], axis=1).astype(np.float64)
    low_K, high_K = mean_intervals(hit_QK, group_Q, how)
    metrics = [
        Metric(
            name=f"{prefix}/recall_at_{k}",
            value=float(hit_QK[:, column].mean()),
            low=float(low_K[column]),
            high=float(high_K[column]),
            n=len(rank_Q),
            chance=chance_recall(k, num_own_Q, num_gallery),
        )
        for column, k in enumerate(RECALL_AT)
    ]
    place_Q = rank_Q.astype(np.float64) + 1.0
    low, high = median_interval(place_Q, group_Q, how)
    return [
        *metrics,
        Metric(
            name=f"{prefix}/median_rank",
            value=lower_median(place_Q),
            low=low,
            high=high,
            n=len(rank_Q),
            chance=float(chance_median_rank(num_own_Q, num_gallery)),
            higher_is_better=False,
        ),
    ]


def chance_recall(k: int, num_own_Q: Ints, num_gallery: int) -> float:
    """Return the expected recall at K of a random order.

    With c right answers among N: 1 - C(N-c, K) / C(N, K), averaged over the queries.
    """
    own, how_often = np.unique(num_own_Q, return_counts=True)
    missed = sum(
        int(often) * _chance_of_none(k, int(c), num_gallery)
        for c, often in zip(own, how_often, strict=True)
    )
    return 1.0 - missed / len(num_own_Q)


def _chance_of_none(k: int, num_own: int, num_gallery: int) -> float:
    """C(N-c, K) / C(N, K), as the product over the c right answers of missing the first K."""
    return math.prod(
        max(0, num_gallery - k - placed) / (num_gallery - placed) for placed in range(num_own)
    )


def chance_median_rank(num_own_Q: Ints, num_gallery: int) -> int:
    """Return the smallest K at which a random order reaches a recall of one half."""
    low, high = 1, num_gallery
    while low < high:
        middle = (low + high) // 2
        if chance_recall(middle, num_own_Q, num_gallery) >= 0.5 - 1e-12:
            high = middle
        else:
            low = middle + 1
    return low


def owners(captions: Sequence[Sequence[str]]) -> Ints:
    """Return, caption by caption, the number of the picture that it belongs to."""
    counts = [len(of_one) for of_one in captions]
    return np.repeat(np.arange(len(captions), dtype=np.int64), counts)
