"""t-SNE: shares of neighbors by hand, the slope by differences, and places that are worth a map."""

import os
import subprocess
import sys

import numpy as np
import pytest

from openalign.evaluate.metrics.tsne import gradient, neighbor_shares, tsne
from openalign.evaluate.metrics.vectors import unit_rows

CLUSTERS = 5
IN_A_CLUSTER = 12

PLACES_OF_ROWS = """
import sys
import numpy as np
from openalign.evaluate.metrics.tsne import tsne
from openalign.evaluate.metrics.vectors import unit_rows
rows = unit_rows(np.random.default_rng(3).normal(size=(80, 48)))
noise = np.random.default_rng(int(sys.argv[1])).normal(size=rows.shape)
print(tsne(rows + 1e-13 * noise).tolist())
"""
"""Sums in another order differ by as little as this noise, on a machine where they do."""


def clustered() -> np.ndarray:
    drawn = np.random.default_rng(1)
    centers = np.repeat(drawn.normal(size=(CLUSTERS, 32)), IN_A_CLUSTER, axis=0)
    return unit_rows(centers + 0.4 * drawn.normal(size=centers.shape))


def test_neighbors_share_evenly_where_all_are_equally_far() -> None:
    square = 1.0 - np.eye(4)

    assert neighbor_shares(square, 2.0) == pytest.approx(square / 3)


def test_a_row_has_as_many_neighbors_as_it_is_told() -> None:
    places = np.array([0.0, 1.0, 3.0, 7.0, 12.0])
    square = (places[:, None] - places[None, :]) ** 2

    shares = neighbor_shares(square, 2.5)

    assert shares.sum(axis=1) == pytest.approx(np.ones(5))
    assert np.diag(shares) == pytest.approx(np.zeros(5))
    bits = -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    assert 2.0**bits == pytest.approx(np.full(5, 2.5))
    # The first row: exp(-p), exp(-9p), exp(-49p), exp(-144p) over their sum, for one p.
    precision = np.log(shares[0, 1] / shares[0, 2]) / 8
    kernel = np.exp(-precision * square[0, 1:])
    assert shares[0, 1:] == pytest.approx(kernel / kernel.sum())


def test_the_slope_is_that_of_the_divergence() -> None:
    drawn = np.random.default_rng(0)
    joint = drawn.random((6, 6))
    joint = joint + joint.T
    np.fill_diagonal(joint, 0.0)
    joint /= joint.sum()
    places, step = drawn.normal(size=(6, 2)), 1e-6

    def divergence(at: np.ndarray) -> float:
        total, kernel = 0.0, np.zeros((6, 6))
        for i in range(6):
            for j in range(6):
                kernel[i, j] = 0.0 if i == j else 1 / (1 + ((at[i] - at[j]) ** 2).sum())
        for i in range(6):
            for j in range(6):
                if i != j:
                    total += joint[i, j] * np.log(joint[i, j] / (kernel[i, j] / kernel.sum()))
        return total

    slope = np.zeros((6, 2))
    for i in range(6):
        for axis in range(2):
            moved = np.zeros((6, 2))
            moved[i, axis] = step
            slope[i, axis] = (divergence(places + moved) - divergence(places - moved)) / (2 * step)
    assert gradient(joint, places) == pytest.approx(slope, abs=1e-6)


def test_the_nearest_on_the_map_are_of_the_same_cluster() -> None:
    places = tsne(clustered())

    square = ((places[:, None] - places[None, :]) ** 2).sum(axis=2)
    np.fill_diagonal(square, np.inf)
    of_row = np.repeat(np.arange(CLUSTERS), IN_A_CLUSTER)
    nearest = square.argsort(axis=1)[:, :5]
    assert (of_row[nearest] == of_row[:, None]).all()


def test_the_number_of_threads_changes_no_digit() -> None:
    by_threads = {
        subprocess.run(
            [sys.executable, "-c", PLACES_OF_ROWS, threads],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }

    assert len(by_threads) == 1


def test_equal_rows_part() -> None:
    places = tsne(unit_rows(np.ones((6, 4))))

    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == 6
