"""Spearman's correlation: how alike two orders of the same items are, 1 the same, -1 opposite.

Values that are equal share the mean of their ranks. Values are coded once as places among the
distinct ones, so that a resample's ranks are counted and not sorted.

Shape suffixes:
    N  items
    V  distinct values
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
"""For each item the place of its value among the distinct values, in ascending order."""


def codes_of(values: npt.NDArray[np.floating[Any]]) -> Codes:
    """Return the codes of values."""
    return np.unique(values, return_inverse=True)[1].ravel()


def spearman(first_N: Codes, second_N: Codes) -> float:
    """Return the correlation of two orders, given as the codes of some of their items.

    Where all items of one are equal it orders nothing, and the correlation counts as 0.
    """
    first, second = _centered_ranks(first_N), _centered_ranks(second_N)
    spread = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / spread if spread > 0 else 0.0


def mean_ranks(code_N: Codes) -> npt.NDArray[np.float64]:
    """Return ranks from 1, the lowest; equal items share the mean of their ranks."""
    count_V = np.bincount(code_N)
    rank_V = np.cumsum(count_V) - (count_V - 1) / 2.0
    return rank_V[code_N]


def _centered_ranks(code_N: Codes) -> npt.NDArray[np.float64]:
    return mean_ranks(code_N) - (len(code_N) + 1) / 2.0
