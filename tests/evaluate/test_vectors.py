import numpy as np

from openalign.evaluate.vectors import TIE, best, reaches, unit_rows


def test_a_row_of_zeros_stays_one() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))

    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-7)


def test_best_prefers_the_earlier_of_equals() -> None:
    assert best(np.array([0.1, 0.5, 0.9, 0.5], dtype=np.float32), 3) == [2, 1, 3]


def test_a_tie_reaches_the_bound_and_so_does_what_is_not_a_number() -> None:
    scores = np.array([0.5, 0.5 - TIE / 4, 0.4, np.nan], dtype=np.float32)

    assert reaches(scores, np.float32(0.5)).tolist() == [True, True, False, True]
