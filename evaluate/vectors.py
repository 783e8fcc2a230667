"""Embeddings as unit rows: cosines block by block, what counts as a tie, and the best places.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
"""

# ruff: noqa: N803  # capitals are shape suffixes

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Embeddings or cosines, a row an item."""

TIE = np.float32(1e-6)
"""Cosines closer than this are equal: float32 cannot tell them apart whatever the blocking."""

_SCORES_AT_ONCE = 1 << 24
"""Scores held in memory at a time: 64 MiB, so 100k x 100k never is one matrix."""


def unit_rows(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    """Scale each row to length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


def score_blocks(query_QD: Vectors, gallery_GD: Vectors) -> Iterator[tuple[slice, Vectors]]:
    """Yield the cosines of some queries with the whole gallery, block by block."""
    step = max(1, _SCORES_AT_ONCE // max(1, len(gallery_GD)))
    for start in range(0, len(query_QD), step):
        rows = slice(start, min(start + step, len(query_QD)))
        yield rows, query_QD[rows] @ gallery_GD.T


def reaches(scores: Vectors, bound: Any) -> npt.NDArray[np.bool_]:
    """Tell which scores are as high as a bound. A tie is; so is NaN, which must count as a miss."""
    return ~(scores < bound - TIE)


def best(score_G: Vectors, k: int) -> list[int]:
    """Return the places of the k highest scores, the earlier one first where two are equal."""
    return [int(place) for place in np.argsort(-score_G, kind="stable")[:k]]
