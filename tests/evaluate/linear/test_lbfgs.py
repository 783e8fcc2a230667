"""Logistic regression by L-BFGS beside scikit-learn's, which minimizes the same."""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from typing import Any

import numpy as np
import pytest
import torch
from linear_sets import labeled, random_set
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from openalign.evaluate.linear import rows
from openalign.evaluate.linear.head import LinearHead, num_right
from openalign.evaluate.linear.lbfgs import ROUGH_GRADIENT, fit
from openalign.evaluate.linear.rows import Labeled, threads
from openalign.evaluate.metrics.vectors import unit_rows


def digits(num_rows: int = 500) -> Labeled:
    images, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    rows_GD = unit_rows(images[:num_rows].astype(np.float32))
    return labeled(rows_GD, labels[:num_rows].astype(np.int64), num_classes=10)


def objective(chosen: Labeled, weight_CD: Any, bias_C: Any, penalty: float) -> float:
    """Return what is minimized, written out."""
    weight_CD, bias_C = np.asarray(weight_CD), np.asarray(bias_C)
    score_NC = chosen.image_GD.astype(np.float64) @ weight_CD.T + bias_C
    total_N = np.log(np.exp(score_NC).sum(axis=1))
    own_N = score_NC[np.arange(len(chosen)), chosen.label_N]
    return float((total_N - own_N).sum() + penalty / 2 * np.square(weight_CD).sum())


def fitted(chosen: Labeled, penalty: float, *, num_threads: int = 1) -> LinearHead:
    with threads(num_threads) as on:
        found = fit(chosen, penalty=penalty, max_iterations=1000, on=on)
    assert found.converged
    return found.head


@pytest.mark.parametrize("penalty", [0.01, 1.0, 1e6])
@pytest.mark.parametrize("make", [digits, random_set], ids=["digits", "overlapping classes"])
def test_the_optimum_is_scikit_learns(make: Any, penalty: float) -> None:
    chosen = make()
    with threadpool_limits(1):
        theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=100_000)
        theirs.fit(chosen.image_GD.astype(np.float64), chosen.label_N)

    ours = fitted(chosen, penalty)

    found = objective(chosen, ours.weight_CD, ours.bias_C, penalty)
    expected = objective(chosen, theirs.coef_, theirs.intercept_, penalty)
    assert found == pytest.approx(expected, rel=1e-6)
    first = ours.scores(torch.from_numpy(chosen.image_GD)).argmax(dim=1).numpy()
    assert first.tolist() == list(theirs.predict(chosen.image_GD.astype(np.float64)))


def test_blocks_and_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random_set()
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 12 * 7)  # blocks of seven rows

    one, several = (fitted(chosen, 0.1, num_threads=number) for number in (1, 3))

    assert torch.equal(one.weight_CD, several.weight_CD)
    assert torch.equal(one.bias_C, several.bias_C)
    # Other blocks round otherwise, and no more than that.
    monkeypatch.undo()
    torch.testing.assert_close(fitted(chosen, 0.1).weight_CD, one.weight_CD, rtol=1e-4, atol=1e-5)


def test_a_class_without_a_row_is_never_first() -> None:
    """A class may be absent from the 1,000 images of a VTAB task."""
    chosen = random_set(num_classes=4)
    wider = labeled(chosen.image_GD, chosen.label_N, num_classes=5)

    head = fitted(wider, 1.0)

    scores = head.scores(torch.from_numpy(wider.image_GD))
    assert int((scores.argmax(dim=1) == 4).sum()) == 0


def test_rows_that_are_all_alike_end_in_a_head() -> None:
    same = labeled(np.ones((6, 3), dtype=np.float32), np.array([0, 0, 0, 0, 1, 1]), num_classes=2)

    head = fitted(same, 1.0)

    # Nothing but the shares can be learned: 4 to 2.
    assert head.bias_C[0] + head.weight_CD[0].sum() > head.bias_C[1] + head.weight_CD[1].sum()
    with threads(1) as on:
        assert num_right(head, same, on) == 4


def test_a_rough_fit_ends_sooner_and_gives_the_same_classes() -> None:
    chosen = random_set()
    with threads(1) as on:
        exact = fit(chosen, penalty=0.01, max_iterations=1000, on=on)
        rough = fit(
            chosen, penalty=0.01, max_iterations=1000, on=on, gradient_at_most=ROUGH_GRADIENT
        )
        right = [num_right(found.head, chosen, on) for found in (exact, rough)]

    assert rough.converged
    assert rough.iterations < exact.iterations
    assert right[0] == right[1]
    objectives = [
        objective(chosen, found.head.weight_CD, found.head.bias_C, 0.01) for found in (rough, exact)
    ]
    # The loss is a sum over 150 rows; its least value is the exact fit's.
    assert objectives[1] < objectives[0] < objectives[1] * (1 + 1e-4)


def test_a_fit_that_runs_out_of_iterations_says_so() -> None:
    with threads(1) as on:
        found = fit(random_set(), penalty=1e-6, max_iterations=3, on=on)

    assert (found.iterations, found.converged) == (3, False)
