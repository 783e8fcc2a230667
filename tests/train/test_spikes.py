import math
import random
import statistics

import pytest

from openalign.train.spikes import Spike, remembered, spike_at
from openalign.train.updates import RewindSpikes, SkipSpikes

RULE = SkipSpikes(window_steps=2, deviations=2.0)


@pytest.mark.parametrize(
    ("loss", "recent", "expected"),
    [
        # The mean of 1 and 3 is 2, their deviation 1: the bound is 4.
        pytest.param(4.0, [1.0, 3.0], None, id="on the bound"),
        pytest.param(4.5, [1.0, 3.0], Spike(4.5, 2.0, 1.0), id="above it"),
        pytest.param(-9.0, [1.0, 3.0], None, id="far below"),
        pytest.param(99.0, [1.0], None, id="a window that is not full"),
        pytest.param(0.2, [0.1, 0.1], None, id="losses that were all the same"),
        pytest.param(math.inf, [1.0, 3.0], None, id="not finite: no spike, but skipped anyway"),
        pytest.param(math.nan, [1.0, 3.0], None, id="not a number"),
    ],
)
def test_a_spike_is_above_the_mean_by_more_than_its_deviations(
    loss: float, recent: list[float], expected: Spike | None
) -> None:
    assert spike_at(loss, recent, RULE) == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        pytest.param(7.0, [3.0, 7.0], id="the window moves on, over spikes too"),
        pytest.param(math.nan, [1.0, 3.0], id="but not over what is not finite"),
    ],
)
def test_the_last_finite_losses_are_remembered(loss: float, expected: list[float]) -> None:
    assert remembered([1.0, 3.0], loss, RULE) == expected


@pytest.mark.parametrize("seed", range(20))
def test_spikes_are_those_of_a_look_back_over_all_losses(seed: int) -> None:
    draw = random.Random(seed)
    rule = RewindSpikes(window_steps=draw.randint(2, 12), deviations=draw.uniform(0.5, 3.0))
    losses = [draw.choice([draw.gauss(5, 1), draw.gauss(9, 3), math.nan]) for _ in range(200)]

    found: list[int] = []
    recent: list[float] = []
    for step, loss in enumerate(losses):
        if spike_at(loss, recent, rule):
            found.append(step)
        recent = remembered(recent, loss, rule)

    expected: list[int] = []
    for step, loss in enumerate(losses):
        before = [each for each in losses[:step] if math.isfinite(each)][-rule.window_steps :]
        if len(before) == rule.window_steps and math.isfinite(loss):
            bound = statistics.fmean(before) + rule.deviations * statistics.pstdev(before)
            expected += [step] if loss > bound else []
    assert found == expected
    assert found


def test_losses_that_stay_high_are_soon_no_spikes_any_more() -> None:
    rule = SkipSpikes(window_steps=128, deviations=6.0)
    recent = [4.9, 5.1] * 64
    skipped = 0
    for _ in range(128):
        skipped += spike_at(8.0, recent, rule) is not None
        recent = remembered(recent, 8.0, rule)

    # Once k of n are high, the bound is 6 deviations above: sqrt((n - k) / k) <= 6 from k = n / 37.
    assert skipped == 4
