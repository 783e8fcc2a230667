import itertools

import numpy as np
import pytest

from openalign.evaluate.metrics.correlation import codes_of, spearman


def correlation(first: list[float], second: list[float]) -> float:
    return spearman(codes_of(np.array(first)), codes_of(np.array(second)))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param([1, 2, 3], [10, 200, 3000], 1.0, id="one order"),
        pytest.param([1, 2, 3], [3, 2, 1], -1.0, id="opposite"),
        # 1 - 6 (1 + 1) / (4 * 15) = 0.8: two neighbors are swapped.
        pytest.param([1, 2, 3, 4], [1, 3, 2, 4], 0.8, id="two swapped"),
        # Ranks 1.5, 1.5, 3 against 1, 2, 3, less 2: (0.5 + 0 + 1) / sqrt(1.5 * 2).
        pytest.param([5, 5, 9], [1, 2, 3], 1.5 / np.sqrt(3.0), id="a tie"),
        pytest.param([7, 7, 7], [1, 2, 3], 0.0, id="all equal"),
    ],
)
def test_the_correlation_is_that_of_mean_ranks(
    first: list[float], second: list[float], expected: float
) -> None:
    assert correlation(first, second) == pytest.approx(expected)


def slow_ranks(values: list[float]) -> list[float]:
    """Return for each value the number of smaller ones and half of the equal ones, from one."""
    return [
        1 + sum(other < value for other in values) + (values.count(value) - 1) / 2
        for value in values
    ]


def test_counted_ranks_equal_ranks_by_comparing_each_with_each() -> None:
    draw = np.random.default_rng(0)
    for num in (7, 12, 30):
        first, second = (draw.integers(num // 2, size=num).astype(float) for _ in range(2))
        expected = np.corrcoef(slow_ranks(first.tolist()), slow_ranks(second.tolist()))[0, 1]

        assert correlation(first.tolist(), second.tolist()) == pytest.approx(expected)


def test_items_may_be_a_part_of_those_that_were_coded() -> None:
    values = [0.3, 0.1, 0.9, 0.1, 0.5, 0.7]
    others = [2.0, 2.0, 5.0, 1.0, 4.0, 3.0]
    for chosen in itertools.combinations(range(6), 4):
        part = np.array([*chosen, chosen[0]])  # one of them drawn twice, as a bootstrap does

        found = spearman(codes_of(np.array(values))[part], codes_of(np.array(others))[part])

        assert found == pytest.approx(
            correlation([values[at] for at in part], [others[at] for at in part])
        )


def test_the_correlation_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="an oracle, not a dependency")
    draw = np.random.default_rng(1)
    first, second = draw.normal(size=500), draw.integers(9, size=500).astype(float)

    found = correlation(first.tolist(), second.tolist())

    assert found == pytest.approx(float(stats.spearmanr(first, second).statistic), abs=1e-12)
