"""Which queries are shown, and what was found first for them.

Queries are drawn by the hash of their text, before anything is known of their success. So the share
of failures among them is that of the benchmark.
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence

import numpy as np

from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.vectors import Vectors, best, score_blocks
from openalign.files.hashing import hash64

FIRST = 5
"""Results that are shown of a query."""


def sample(keys: Sequence[str], num: int) -> list[int]:
    """Return the places of `num` keys, drawn by their hash; fewer keys are all taken."""
    return sorted(sorted(range(len(keys)), key=lambda at: (hash64(keys[at]), at))[:num])


def nearest(
    query_QD: Vectors, gallery_GD: Vectors, k: int = FIRST, *, left_out_Q: Ints | None = None
) -> list[list[int]]:
    """Return the places of each query's k best items, without the item that is left out."""
    found: list[list[int]] = []
    for rows, scores in score_blocks(query_QD, gallery_GD):
        if left_out_Q is None:
            found += [best(score_G, k) for score_G in scores]
            continue
        for score_G, left_out in zip(scores, left_out_Q[rows], strict=True):
            score_G[left_out] = -np.inf
            found.append([place for place in best(score_G, k) if place != left_out])
    return found
