import numpy as np
import pytest

from openalign.evaluate.metrics.bootstrap import (
    Bootstrap,
    Floats,
    Ints,
    class_mean,
    interval_ends,
    lower_median,
    resampled_class_means,
    resampled_means,
    resampled_medians,
)

BOOTSTRAP = Bootstrap(resamples=4000, confidence=0.5, seed=1)


def mean_interval(values: Floats, groups: Ints, bootstrap: Bootstrap) -> tuple[float, float]:
    """Return the interval of the mean of one column."""
    return interval_ends(resampled_means(values, groups, bootstrap)[:, 0], bootstrap.confidence)


def test_two_queries_give_the_quartiles_of_a_coin_thrown_twice() -> None:
    # Means of two draws from {0, 1}: 0, 1/2, 1 with chances 1/4, 1/2, 1/4. Quantiles at 0.2 and
    # 0.8 are therefore 0 and 1, those at 0.3 and 0.7 both 1/2.
    values = np.array([[0.0], [1.0]])
    wide = Bootstrap(resamples=4000, confidence=0.6, seed=1)
    narrow = Bootstrap(resamples=4000, confidence=0.4, seed=1)

    assert mean_interval(values, np.arange(2), wide) == (0.0, 1.0)
    assert mean_interval(values, np.arange(2), narrow) == (0.5, 0.5)


def test_queries_of_one_image_are_drawn_together() -> None:
    # One image with four captions: whatever is drawn, all four are, so nothing moves.
    values = np.array([[0.0], [1.0], [1.0], [1.0]])

    assert mean_interval(values, np.zeros(4, dtype=np.int64), BOOTSTRAP) == (0.75, 0.75)


def test_a_group_weighs_as_much_as_it_has_queries() -> None:
    # Groups {1} and {0, 0, 0}: drawn means are 1 (1/4), 1/4 (1/2), 0 (1/4).
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    groups = np.array([7, 9, 9, 9])
    narrow = Bootstrap(resamples=4000, confidence=0.4, seed=1)

    assert mean_interval(values, groups, narrow) == (0.25, 0.25)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    values = np.random.default_rng(0).normal(size=(40, 1))

    def ends(seed: int) -> tuple[float, float]:
        bootstrap = Bootstrap(resamples=200, confidence=0.9, seed=seed)
        return mean_interval(values, np.arange(40), bootstrap)

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    bootstrap = Bootstrap(resamples=2000, confidence=0.95, seed=0)

    low, high = mean_interval(values, np.arange(400), bootstrap)

    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_median_is_a_value_and_the_lower_of_two() -> None:
    assert lower_median(np.array([4.0, 1.0, 3.0, 2.0])) == 2.0
    assert lower_median(np.array([3.0, 1.0, 2.0])) == 2.0


def test_the_medians_interval_of_two_values() -> None:
    # Of two draws from {1, 5} the lower median is 1 with chance 3/4.
    values, groups = np.array([5.0, 1.0]), np.array([0, 1])

    values_drawn = resampled_medians(values, groups, BOOTSTRAP)

    assert interval_ends(values_drawn, 0.4) == (1.0, 1.0)
    assert interval_ends(values_drawn, 0.6) == (1.0, 5.0)


def test_a_rare_class_counts_as_much_as_a_common_one() -> None:
    # Class 2 has 1 of 3 right, class 5 has 1 of 1: (1/3 + 1) / 2. No query is of another class.
    values, classes = np.array([1.0, 0.0, 0.0, 1.0]), np.array([2, 2, 2, 5])

    assert class_mean(values, classes) == pytest.approx(2 / 3)


def test_a_class_that_a_draw_misses_is_left_out_of_it() -> None:
    # Two queries: one of class 0 that is right, one of class 1 that is wrong. Two draws have both
    # (1/4 + 1/4: mean 1/2), or the first twice (1/4: class 0 alone, 1), or the second twice (0).
    values, classes = np.array([1.0, 0.0]), np.array([0, 1])

    values_drawn = resampled_class_means(values, classes, BOOTSTRAP)

    assert interval_ends(values_drawn, 0.6) == (0.0, 1.0)
    assert interval_ends(values_drawn, 0.4) == (0.5, 0.5)


def test_a_single_class_has_the_resamples_of_the_plain_mean() -> None:
    # Both means draw the same queries, so results of one seed can be compared.
    values, one_class = np.array([1.0, 0.0, 0.0, 1.0, 1.0]), np.zeros(5, dtype=np.int64)

    class_means = resampled_class_means(values, one_class, BOOTSTRAP)

    means = resampled_means(values[:, None], np.arange(5), BOOTSTRAP)
    np.testing.assert_allclose(class_means, means[:, 0], rtol=1e-12)
