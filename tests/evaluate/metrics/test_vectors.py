import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from openalign.evaluate.metrics.vectors import (
    TIE,
    best,
    expected_hit,
    num_true,
    reaches,
    rows_at,
    unit_rows,
)


def test_a_row_of_zeros_stays_one() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))

    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-7)


def test_best_prefers_the_earlier_of_equals() -> None:
    assert best(np.array([0.1, 0.5, 0.9, 0.5], dtype=np.float32), 3) == [2, 1, 3]


def test_a_tie_reaches_the_bound_and_so_does_what_is_not_a_number() -> None:
    scores = np.array([0.5, 0.5 - TIE / 4, 0.4, np.nan], dtype=np.float32)

    assert reaches(scores, np.float32(0.5)).tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("num_above", "num_tied", "num_right", "k", "expected"),
    [
        pytest.param(0, 0, 1, 1, 1.0, id="first alone"),
        pytest.param(4, 0, 1, 5, 1.0, id="last place that counts"),
        pytest.param(5, 0, 1, 5, 0.0, id="one place too late"),
        pytest.param(0, 3, 1, 1, 1 / 4, id="one of four that tie"),
        pytest.param(3, 3, 1, 5, 2 / 4, id="two places for four"),
        pytest.param(3, 3, 1, 7, 1.0, id="places for all that tie"),
        # C(3, 2) / C(5, 2) = 3/10 of the orders have neither right item on the first two places.
        pytest.param(1, 3, 2, 3, 0.7, id="two right ones of five"),
        pytest.param(0, 9, 0, 5, 0.0, id="nothing is right"),
    ],
)
def test_what_to_expect_of_a_random_order_of_ties(
    num_above: int, num_tied: int, num_right: int, k: int, expected: float
) -> None:
    found = expected_hit(np.array([num_above]), np.array([num_tied]), k, num_right=num_right)

    assert found.tolist() == [pytest.approx(expected, abs=1e-15)]


def test_what_to_expect_equals_trying_every_order() -> None:
    def orders(above: int, tied: int, right: int) -> Iterator[str]:
        for order in itertools.permutations("w" * tied + "r" * right):
            yield "w" * above + "".join(order)

    cases = list(itertools.product(range(3), range(4), range(1, 4)))
    columns = np.array(cases).T
    for k in range(1, 6):
        found = expected_hit(columns[0], columns[1], k, num_right=columns[2])
        for case, share in zip(cases, found, strict=True):
            hits = ["r" in order[:k] for order in orders(*case)]
            assert share == pytest.approx(sum(hits) / len(hits)), (case, k)


def test_rows_that_follow_each_other_are_not_copied() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)

    together = rows_at(rows, np.array([2, 3, 4]))
    apart = rows_at(rows, np.array([1, 2, 5]))

    assert together.tolist() == [[4, 5], [6, 7], [8, 9]]
    assert np.shares_memory(together, rows)
    assert apart.tolist() == [[2, 3], [4, 5], [10, 11]]
    assert rows_at(rows, np.array([], dtype=np.int64)).shape == (0, 2)


def test_a_long_row_is_counted_to_its_end() -> None:
    mask = np.ones((2, 70_000), dtype=np.bool_)
    mask[1, ::2] = False

    assert num_true(mask).tolist() == [70_000, 35_000]
