"""How many checkpoints a run adds to a disk, worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tiny_training import tiny_config

from openalign.train.checkpoints.room import num_to_come
from openalign.train.config import Validation
from openalign.train.updates import RewindSpikes

CONFIG = replace(tiny_config(), checkpoint_every_steps=100, keep_checkpoints=2)
TEN_KEPT = [*range(200, 2001, 200)]


@pytest.mark.parametrize(
    ("changes", "there", "expected"),
    [
        # 2800, 2900 and, while it is written, 3000.
        pytest.param({}, [], 3, id="the newest and the next"),
        # 2800, 2900 and 3000 take the places of 1900 and 2000.
        pytest.param({}, [1900, 2000], 1, id="those that go make room"),
        pytest.param({}, [1700, 1800, 1900, 2000], -1, id="more go than come"),
        # 200, 400 to 3000 are 15, and 2900.
        pytest.param({"keep_every_steps": 200}, [], 16, id="multiples come on top"),
        # 2200, 2400 to 3000 are 5, and 2900.
        pytest.param({"keep_every_steps": 200}, TEN_KEPT, 6, id="multiples stay"),
        # The same, and 1900 goes.
        pytest.param({"keep_every_steps": 200}, [*TEN_KEPT, 1900], 5, id="others go beside them"),
        # Of the checkpoints 300, 600 to 3000 are multiples; 2800 and 2900 are new besides.
        pytest.param({"keep_every_steps": 150}, [], 12, id="multiples that are no checkpoints"),
        pytest.param({"validation": Validation()}, [], 4, id="the best"),
        # A spike behind 2900 undoes steps from 2650 on: 2600, 2700, 2800 and 2900, and the next.
        pytest.param({"loss_spikes": RewindSpikes(undone_steps=251)}, [], 5, id="to rewind to"),
        # 2100 is damaged: it is written anew, and does not stay besides.
        pytest.param({}, [1900, 2000, 2100], 0, id="one beyond what the run goes on from"),
    ],
)
def test_as_many_come_as_stay_less_those_that_go(
    changes: dict[str, Any], there: Sequence[int], expected: int
) -> None:
    step = 2000 if there else 0

    assert num_to_come(replace(CONFIG, **changes), there, step=step, total_steps=3000) == expected


@pytest.mark.parametrize(
    ("total_steps", "expected"),
    [
        pytest.param(2050, 1, id="2050 beside 1900 and 2000"),
        pytest.param(2150, 1, id="2100 and 2150 beside 2000"),
        pytest.param(2000, 0, id="none"),
    ],
)
def test_a_run_near_its_end_adds_no_more_than_it_writes(total_steps: int, expected: int) -> None:
    assert num_to_come(CONFIG, [2000, 1900], step=2000, total_steps=total_steps) == expected
