"""Global batches that a run passes over: those of steps that were undone for a loss spike.

A step takes the global batch that has its number among those that are left. So what a step draws
is a function of its number and of the list, and steps before the first entry draw what they drew.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class BatchRange(NamedTuple):
    """The global batches from `first` to before `stop`, by their number in the order of pairs."""

    first: int
    stop: int


def merged(ranges: Iterable[BatchRange]) -> tuple[BatchRange, ...]:
    """Return the same batches as ranges that ascend and do not touch."""
    found: list[BatchRange] = []
    for each in sorted(ranges):
        if found and each.first <= found[-1].stop:
            found[-1] = BatchRange(found[-1].first, max(found[-1].stop, each.stop))
        else:
            found.append(each)
    return tuple(found)


def batch_at(step: int, passed_over: Sequence[BatchRange]) -> int:
    """Return the number of the global batch that a step takes; the ranges are `merged`."""
    number = step
    for first, stop in passed_over:
        if number >= first:
            number += stop - first
    return number


def batches_behind(batch: int, count: int, passed_over: Sequence[BatchRange]) -> int:
    """Return the batch that comes `count` batches behind another, of those that are left."""
    num_before = sum(min(stop, batch) - first for first, stop in passed_over if first < batch)
    return batch_at(batch - num_before + count, passed_over)
