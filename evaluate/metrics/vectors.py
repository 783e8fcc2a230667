"""Embeddings as unit rows: cosines block by block, what ties are worth, and the best places.

Shape suffixes:
    Q  queries
    G  gallery
    N  pairs
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Embeddings or cosines, a row an item."""

TIE = np.float32(1e-6)
"""Cosines closer than this are equal: float32 cannot tell them apart whatever the blocking."""

_SCORES_AT_ONCE = 1 << 24
"""Scores held in memory at a time: 64 MiB, so 100k x 100k never is one matrix."""

_PAIRS_AT_ONCE = 1 << 14


def unit_rows(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    """Scale each row to length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


def scaled(weights: Sequence[float]) -> Vectors:
    """Return weights in the same proportions, of which the largest is from 1/2 to 1.

    They are divided by a power of two, so a sum has the same direction to the last bit, and none
    overflows.
    """
    _, exponent = np.frexp(np.max(np.abs(weights)))
    return np.ldexp(weights, -exponent).astype(np.float32)


def score_blocks(query_QD: Vectors, gallery_GD: Vectors) -> Iterator[tuple[slice, Vectors]]:
    """Yield the cosines of some queries with the whole gallery, block by block."""
    step = max(1, _SCORES_AT_ONCE // max(1, len(gallery_GD)))
    for start in range(0, len(query_QD), step):
        rows = slice(start, min(start + step, len(query_QD)))
        yield rows, query_QD[rows] @ gallery_GD.T


def cosines_of_pairs(
    first_GD: Vectors,
    first_N: npt.NDArray[np.int64],
    second_GD: Vectors,
    second_N: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return the cosine of each pair of rows, given by their places; summed in double precision."""
    found_N = np.empty(len(first_N))
    for start in range(0, len(first_N), _PAIRS_AT_ONCE):
        rows = slice(start, start + _PAIRS_AT_ONCE)
        first_ND = first_GD[first_N[rows]].astype(np.float64)
        found_N[rows] = np.einsum("nd,nd->n", first_ND, second_GD[second_N[rows]])
    return found_N


def rows_at(rows_GD: Vectors, places: npt.NDArray[np.int64]) -> Vectors:
    """Return the rows at ascending places.

    Rows that follow each other are not copied: a training split may be most of the memory.
    """
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
    if last - first + 1 == len(places):
        return rows_GD[first : last + 1]
    return rows_GD[places]


def reaches(scores: Vectors, bound: Any) -> npt.NDArray[np.bool_]:
    """Tell which scores are as high as a bound. A tie is; so is NaN, which must count as a miss."""
    return ~(scores < bound - TIE)


def exceeds(scores: Vectors, bound: Any) -> npt.NDArray[np.bool_]:
    """Tell which scores are higher than a bound. A tie is not; NaN is, on either side."""
    return ~(scores <= bound + TIE)


def num_true(is_true_QG: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Count what is true in each row; NumPy's own count of rows takes twice as long."""
    return is_true_QG.view(np.int8).sum(axis=1, dtype=np.int32).astype(np.int64)


def expected_hit(
    num_above: npt.NDArray[np.int64],
    num_tied: npt.NDArray[np.int64],
    k: int,
    *,
    num_right: npt.NDArray[np.int64] | int = 1,
) -> npt.NDArray[np.float64]:
    """Return, query by query, the chance that a right item is among the first k.

    Items that tie with the best right one come in random order. With r right and t wrong items
    that tie, and p places left behind the items above, it is 1 - C(t, p) / C(t + r, p). Without
    ties it is 1 or 0. With nothing above, it is what a random order of all items reaches.

    Args:
        num_above: wrong items that score higher than the best right item.
        num_tied: wrong items that tie with it.
        k: how many places count.
        num_right: right items that tie with each other, itself included; 0 where nothing is right.
    """
    size = num_tied + num_right
    missed = np.ones(np.broadcast(num_above, size).shape)
    for place in range(k):
        drawn = place - num_above  # items of the tie that lie on earlier places
        wrong_left = np.maximum(num_tied - drawn, 0)
        is_in_tie = (drawn >= 0) & (drawn < size)
        missed *= np.where(is_in_tie, wrong_left / np.maximum(size - drawn, 1), 1.0)
    return 1.0 - missed


def best(score_G: Vectors, k: int) -> list[int]:
    """Return the places of the k highest scores, the earlier one first where two are equal."""
    return [int(place) for place in np.argsort(-score_G, kind="stable")[:k]]
