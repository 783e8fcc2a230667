"""Bootstrap intervals: how far a number moves when the queries are drawn anew.

What is drawn is a group (an image with all its captions), because queries of one group are not
independent. The same seed gives the same draws, so differences are paired: of two measures of one
model, and of two models on the same queries.

Shape suffixes:
    Q  queries
    C  classes
    M  measures of a query
    U  groups
    R  resamples
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How intervals are drawn."""

    resamples: int
    confidence: float
    seed: int


def resampled_means(values_QM: Floats, group_Q: Ints, bootstrap: Bootstrap) -> Floats:
    """Return each column's mean over the queries, a row a resample [R, M].

    Two calls with the same groups draw the same groups, so their rows may be combined.
    """
    unit_Q = np.unique(group_Q, return_inverse=True)[1].ravel()
    num_units = int(unit_Q.max()) + 1
    size_U = np.bincount(unit_Q, minlength=num_units)
    sum_UM = np.zeros((num_units, values_QM.shape[1]))
    np.add.at(sum_UM, unit_Q, values_QM)
    return np.array([(w_U @ sum_UM) / (w_U @ size_U) for w_U in _draws(num_units, bootstrap)])


def resampled(num_units: int, statistic: Callable[[Ints], float], bootstrap: Bootstrap) -> Floats:
    """Return a statistic of each resample; it gets the places that were drawn, in order [R]."""
    places = np.arange(num_units)
    return np.array(
        [statistic(np.repeat(places, weight_U)) for weight_U in _draws(num_units, bootstrap)]
    )


def class_mean(value_Q: Floats, class_Q: Ints) -> float:
    """Return the mean over classes of each class's mean, over the classes that have a query."""
    num_C = np.bincount(class_Q)
    sum_C = np.bincount(class_Q, value_Q)
    return float((sum_C[num_C > 0] / num_C[num_C > 0]).mean())


def resampled_class_means(value_Q: Floats, class_Q: Ints, bootstrap: Bootstrap) -> Floats:
    """Return `class_mean` of each resample [R].

    Single queries are drawn, whatever their class. A class that a draw misses is left out of it.
    """

    def of_draw(places: Ints) -> float:
        return class_mean(value_Q[places], class_Q[places])

    return resampled(len(value_Q), of_draw, bootstrap)


def resampled_medians(values_Q: Floats, group_Q: Ints, bootstrap: Bootstrap) -> Floats:
    """Return the (lower) median over the queries of each resample [R]."""
    unit_Q = np.unique(group_Q, return_inverse=True)[1].ravel()
    order_Q = np.argsort(values_Q, kind="stable")
    sorted_Q, unit_Q = values_Q[order_Q], unit_Q[order_Q]
    num_units = int(unit_Q.max()) + 1
    return np.array(
        [_weighted_median(sorted_Q, w_U[unit_Q]) for w_U in _draws(num_units, bootstrap)]
    )


def lower_median(values_Q: Floats) -> float:
    """Return the smallest value that at least half of the values do not exceed."""
    return float(np.sort(values_Q)[(len(values_Q) - 1) // 2])


def _weighted_median(sorted_Q: Floats, weight_Q: Ints) -> float:
    reached_Q = np.cumsum(weight_Q)
    return float(sorted_Q[np.searchsorted(reached_Q, (reached_Q[-1] + 1) // 2)])


def _draws(num_units: int, bootstrap: Bootstrap) -> Iterator[Ints]:
    """Yield, a resample at a time, how often each group was drawn."""
    random = np.random.Generator(np.random.PCG64(bootstrap.seed))
    for _ in range(bootstrap.resamples):
        drawn_U = random.integers(num_units, size=num_units)
        yield np.bincount(drawn_U, minlength=num_units).astype(np.int64)


def interval_ends(value_R: Floats, confidence: float) -> tuple[float, float]:
    """Return the low and high end of the interval that holds a share of the resampled values."""
    outside = (1.0 - confidence) / 2.0
    low, high = np.quantile(value_R, [outside, 1.0 - outside])
    return float(low), float(high)
