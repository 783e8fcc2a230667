"""The items with the highest scores, exact, in blocks of both sides.

Memory beside the rows themselves: a block of scores a core (`_QUERIES_A_THREAD` x `_ITEMS_AT_ONCE`
numbers, 4 MiB), and k scores and places a query. The gallery is read once, whatever the number of
queries.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
    K  items that are kept of each query
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from dataclasses import dataclass

import numpy as np

from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.row_parts import in_parts
from openalign.evaluate.metrics.vectors import Vectors

_QUERIES_A_THREAD = 512
_ITEMS_AT_FIRST = 256
_ITEMS_AT_ONCE = 2048
_BLOCKS_A_TURN = 16
"""Blocks of items that a thread takes some queries through before the others must catch up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstItems:
    """The first items of each query, the highest score first and the earlier item of equals."""

    score_QK: Vectors
    place_QK: Ints

    def rows(self, rows: slice) -> "FirstItems":
        """Return those of some queries; what is written there is written here."""
        return FirstItems(score_QK=self.score_QK[rows], place_QK=self.place_QK[rows])


def first_items(query_QD: Vectors, gallery_GD: Vectors, k: int) -> FirstItems:
    """Return the k items of the gallery with the highest products; all where it has fewer.

    Which of the items that tie at the last place is kept is left open. All rows must be finite.
    """
    num_queries, k = len(query_QD), min(k, len(gallery_GD))
    found = FirstItems(
        score_QK=np.full((num_queries, k), -np.inf, dtype=np.float32),
        place_QK=np.full((num_queries, k), -1, dtype=np.int64),
    )
    blocks = _blocks(len(gallery_GD))
    for turn in range(0, len(blocks), _BLOCKS_A_TURN):

        def part(rows: slice, turn: int = turn) -> None:
            for items in blocks[turn : turn + _BLOCKS_A_TURN]:
                scores = query_QD[rows] @ gallery_GD[items].T
                _keep_best(scores, items.start, found.rows(rows))

        in_parts(part, num_queries, step=_QUERIES_A_THREAD)
    order_QK = np.lexsort((found.place_QK, -found.score_QK))
    return FirstItems(
        score_QK=np.take_along_axis(found.score_QK, order_QK, axis=1),
        place_QK=np.take_along_axis(found.place_QK, order_QK, axis=1),
    )


def _blocks(num_items: int) -> list[slice]:
    """Return the blocks of a gallery, each of as many items as all before it, up to a size.

    So about k items of a block are better than what was found, and little must be sorted.
    """
    blocks: list[slice] = []
    stop = 0
    while stop < num_items:
        start, stop = stop, stop + min(max(stop, _ITEMS_AT_FIRST), _ITEMS_AT_ONCE)
        blocks.append(slice(start, min(stop, num_items)))
    return blocks


def _keep_best(scores_QG: Vectors, start: int, found: FirstItems) -> None:
    """Replace what was found by the better items of a block, whose first has the place `start`."""
    # Most blocks have nothing better for most queries: they cost a maximum, and no sorting.
    k = found.score_QK.shape[1]
    bound_Q = found.score_QK.min(axis=1)
    better = np.flatnonzero(scores_QG.max(axis=1) > bound_Q)
    if not len(better):
        return
    scores_QG = scores_QG[better]
    query, item = np.nonzero(scores_QG > bound_Q[better, None])
    count_Q = np.bincount(query, minlength=len(better))
    # What was found and what is new stand side by side; rows with less to add end in -inf.
    shape = (len(better), k + int(count_Q.max()))
    pool_score = np.full(shape, -np.inf, dtype=np.float32)
    pool_place = np.full(shape, -1, dtype=np.int64)
    pool_score[:, :k], pool_place[:, :k] = found.score_QK[better], found.place_QK[better]
    slot = k + np.arange(len(query)) - np.repeat(np.cumsum(count_Q) - count_Q, count_Q)
    pool_score[query, slot] = scores_QG[query, item]
    pool_place[query, slot] = start + item
    kept = np.argpartition(pool_score, -k, axis=1)[:, -k:]
    found.score_QK[better] = np.take_along_axis(pool_score, kept, axis=1)
    found.place_QK[better] = np.take_along_axis(pool_place, kept, axis=1)
