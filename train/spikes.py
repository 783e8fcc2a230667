"""How a loss spike is told: a finite loss that is far above those of the steps before.

A loss is a mean over all ranks, so each of them tells the same. What is remembered is part of a
checkpoint, so a run that goes on tells the same as one that was never stopped.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from openalign.train.updates import RewindSpikes, SkipSpikes


class Spike(NamedTuple):
    """A loss, and what it was measured by."""

    loss: float
    mean: float
    deviation: float
    """Standard deviation, of the same losses as the mean."""


def spike_at(loss: float, recent: Sequence[float], rule: SkipSpikes | RewindSpikes) -> Spike | None:
    """Return the spike that a loss is, or None; `recent` are the losses before, in order.

    Nothing is a spike before there are `window_steps` of them, nor where they are all the same: by
    their deviation of 0 every rise would be one.
    """
    if len(recent) < rule.window_steps or not math.isfinite(loss):
        return None
    mean = math.fsum(recent) / len(recent)
    deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in recent) / len(recent))
    if min(recent) == max(recent) or loss <= mean + rule.deviations * deviation:
        return None
    return Spike(loss, mean, deviation)


def undone_steps(rule: SkipSpikes | RewindSpikes | None) -> int:
    """Return how many steps a spike undoes."""
    return rule.undone_steps if isinstance(rule, RewindSpikes) else 0


def remembered(
    recent: Sequence[float], loss: float, rule: SkipSpikes | RewindSpikes
) -> list[float]:
    """Return the losses that the next one is measured by.

    Those of spikes that were skipped count: if losses stay high, they are soon no spikes any more,
    and training goes on.
    """
    if not math.isfinite(loss):
        return list(recent)
    return [*recent, loss][-rule.window_steps :]
