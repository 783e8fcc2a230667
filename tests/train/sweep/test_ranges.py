"""What trials are drawn from: both ends of each range, and that a trial is its number's."""

import pytest

from openalign.train.sweep.bit import (
    BIT_RANGES,
    DECAY,
    DROPOUT,
    FROZEN_RANGES,
    LEARNING_RATE,
    UPDATES,
)
from openalign.train.sweep.ranges import Choice, LogUniform, Range, Uniform, draw_trial

LAST = 1 - 2**-53
"""The largest number below 1 that can be drawn."""


@pytest.mark.parametrize(
    ("over", "first", "middle", "last"),
    [
        pytest.param(Uniform(0.0, 0.7), 0.0, 0.35, 0.7, id="uniform"),
        pytest.param(Uniform(-1.0, 1.0), -1.0, 0.0, 1.0, id="uniform around zero"),
        # The middle of 1e-4 and 1e-1 is 10 to -2.5.
        pytest.param(LogUniform(1e-4, 1e-1), 1e-4, 0.00316228, 0.1, id="by powers of ten"),
        pytest.param(Choice((500, 1000, 2000)), 500, 1000, 2000, id="a choice"),
    ],
)
def test_a_draw_has_a_place_in_its_range(
    over: Range, first: float, middle: float, last: float
) -> None:
    assert [over.at(0.0), over.at(0.5), over.at(LAST)] == [first, middle, last]


def test_a_trial_depends_on_its_number_and_the_seed_alone() -> None:
    trials = [draw_trial(BIT_RANGES, number, seed=7) for number in range(50)]

    assert draw_trial(BIT_RANGES, 33, seed=7) == trials[33]
    assert draw_trial(BIT_RANGES, 33, seed=8) != trials[33]
    assert len({tuple(trial.values()) for trial in trials}) == 50
    assert all(1e-4 <= trial[LEARNING_RATE] <= 1e-1 for trial in trials)
    assert {trial[UPDATES] for trial in trials} == {500, 1000, 2000, 4000, 8000, 16_000}


def test_frozen_features_draw_what_full_fine_tuning_draws() -> None:
    """Trial for trial: the ranges that do not apply stand last."""
    frozen, whole = (draw_trial(ranges, 4, seed=1) for ranges in (FROZEN_RANGES, BIT_RANGES))

    assert list(frozen) == [LEARNING_RATE, UPDATES, DROPOUT, DECAY]
    assert frozen == {name: whole[name] for name in frozen}
