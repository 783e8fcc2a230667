"""Exact t-SNE (van der Maaten and Hinton, JMLR 2008): rows that are alike lie near each other.

Written out here because `image_map.json` must have the same bytes on every run. What a library
sums in the order of its threads differs in the last bits, and steps that feed on themselves enlarge
that. Here distances and the start are rounded, and every sum after them has one order.

Shape suffixes:
    N  rows
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import numpy as np

from openalign.evaluate.metrics.bootstrap import Floats
from openalign.evaluate.metrics.vectors import Vectors

_PERPLEXITY = 30.0
"""Neighbors that a row has, as the paper counts them; a third of the rows where they are fewer."""

_DECIMALS = 6
_START = 1e-4
"""Spread of the start, which is the first two principal components."""

_EXAGGERATED, _STEPS = 250, 750
_EXAGGERATION = 12.0
_HALVINGS = 60
_LEAST = 1e-12


def tsne(rows_ND: Vectors) -> Floats:
    """Return a place in the plane for each unit row, `[N, 2]`; there must be three rows or more.

    Takes O(N^2) memory and about a second for 200 rows.
    """
    assert len(rows_ND) > 2, "fewer rows have no neighborhoods"
    cosine_NN = rows_ND.astype(np.float64) @ rows_ND.astype(np.float64).T
    square_NN = np.maximum(np.round(2.0 - 2.0 * cosine_NN, _DECIMALS), 0.0)
    np.fill_diagonal(square_NN, 0.0)
    near_NN = neighbor_shares(square_NN, min(_PERPLEXITY, (len(rows_ND) - 1) / 3))
    joint_NN = np.maximum((near_NN + near_NN.T) / (2 * len(rows_ND)), _LEAST)
    return _descended(joint_NN, _principal(square_NN))


def neighbor_shares(square_NN: Floats, perplexity: float) -> Floats:
    """Return how much each row takes another for a neighbor (Eq. 1), by squared distances.

    Rows sum to 1, and 2 to the power of their entropy in bits is the perplexity.
    """
    num_rows = len(square_NN)
    low_N, high_N = np.zeros(num_rows), np.full(num_rows, np.inf)
    precision_N = np.ones(num_rows)
    beyond_NN = np.where(np.eye(num_rows, dtype=bool), np.inf, square_NN)
    # The nearest other row stands for 0, so that no row of the kernel is all zeros.
    beyond_NN = beyond_NN - beyond_NN.min(axis=1, keepdims=True)
    share_NN = np.zeros_like(square_NN)
    for _ in range(_HALVINGS):
        kernel_NN = np.exp(-precision_N[:, None] * beyond_NN)
        share_NN = kernel_NN / kernel_NN.sum(axis=1, keepdims=True)
        entropy_N = -(share_NN * np.log(np.where(share_NN > 0, share_NN, 1.0))).sum(axis=1)
        is_wide_N = entropy_N > np.log(perplexity)
        low_N = np.where(is_wide_N, precision_N, low_N)
        high_N = np.where(is_wide_N, high_N, precision_N)
        precision_N = np.where(np.isinf(high_N), 2 * precision_N, (low_N + high_N) / 2)
    return share_NN


def _principal(square_NN: Floats) -> Floats:
    """Return the first two principal components of rows, from their squared distances, small."""
    centered_NN = -0.5 * (square_NN - square_NN.mean(axis=0) - square_NN.mean(axis=1)[:, None])
    centered_NN -= 0.5 * square_NN.mean()
    values_N, vectors_NN = np.linalg.eigh(centered_NN)
    first = vectors_NN[:, :-3:-1] * np.sqrt(np.maximum(values_N[:-3:-1], 0.0))
    # A component has no sign of its own: its largest entry is positive here.
    largest = np.abs(np.round(first, _DECIMALS)).argmax(axis=0)
    first = first * np.where(first[largest, [0, 1]] < 0, -1.0, 1.0)
    spread = max(float(first[:, 0].std()), _LEAST)
    # Rows that are equal must not start in one point: they would never part.
    apart = np.random.default_rng(0).normal(size=first.shape)
    return np.round(first / spread + 0.01 * apart, _DECIMALS) * _START


def _descended(joint_NN: Floats, place_N2: Floats) -> Floats:
    """Return places whose similarities are as near to `joint_NN` as descent makes them."""
    rate = max(len(joint_NN) / _EXAGGERATION / 4, 50.0)
    moved_N2, gain_N2 = np.zeros_like(place_N2), np.ones_like(place_N2)
    for step in range(_STEPS):
        is_early = step < _EXAGGERATED
        slope_N2 = gradient(joint_NN * (_EXAGGERATION if is_early else 1.0), place_N2)
        turns_N2 = np.sign(slope_N2) != np.sign(moved_N2)
        gain_N2 = np.maximum(np.where(turns_N2, gain_N2 + 0.2, 0.8 * gain_N2), 0.01)
        moved_N2 = (0.5 if is_early else 0.8) * moved_N2 - rate * gain_N2 * slope_N2
        place_N2 = place_N2 + moved_N2
    return place_N2


def gradient(joint_NN: Floats, place_N2: Floats) -> Floats:
    """Return the slope of the Kullback-Leibler divergence at some places (Eq. 5 of the paper)."""
    x_NN, y_NN = (column[:, None] - column[None, :] for column in place_N2.T)
    kernel_NN = 1.0 / (1.0 + x_NN * x_NN + y_NN * y_NN)
    np.fill_diagonal(kernel_NN, 0.0)
    pull_NN = (joint_NN - kernel_NN / kernel_NN.sum()) * kernel_NN
    return 4.0 * np.stack([(pull_NN * x_NN).sum(axis=1), (pull_NN * y_NN).sum(axis=1)], axis=1)
