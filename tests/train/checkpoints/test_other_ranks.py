"""Checkpoints of two ranks, gone on with by one, by three and by two, each under every stage."""

import pickle
from pathlib import Path
from typing import Any

import checkpoint_checks
import pytest
import torch
from rank_checks import STAGES
from tiny_training import finish, start_new_ranks

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

STARTS = [(leg, stage) for leg in range(1, len(checkpoint_checks.LEGS)) for stage in STAGES]
"""Every start from a checkpoint."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every leg has written what it found."""
    folder = tmp_path_factory.mktemp("legs")
    for leg, num_ranks in enumerate(checkpoint_checks.LEGS):
        job = (checkpoint_checks.run_leg, (str(folder), leg))
        finish(start_new_ranks(job, num_ranks=num_ranks, folder=folder))
    return folder


@pytest.fixture(scope="module")
def legs(folder: Path) -> list[dict[int, dict[str, Any]]]:
    """What each leg found, by the ZeRO stage."""
    count = len(checkpoint_checks.LEGS)
    return [pickle.loads((folder / f"leg-{leg}.pkl").read_bytes()) for leg in range(count)]


@pytest.mark.parametrize(("leg", "stage"), STARTS)
def test_every_stage_and_number_of_ranks_loads_bit_for_bit_what_another_saved(
    legs: list[dict[int, dict[str, Any]]], leg: int, stage: int
) -> None:
    saved = legs[leg - 1][checkpoint_checks.saved_by(stage)]["saved"]
    loaded = legs[leg][stage]["loaded"]

    assert loaded.keys() == saved.keys()
    assert len(loaded) > 300  # 144 parameters with two moments each, buffers, steps
    different = [
        name for name in saved if not torch.equal(loaded[name].view(-1), saved[name].view(-1))
    ]
    assert different == []
    assert saved["steps"].item() == checkpoint_checks.LAST_STEPS[leg - 1]


def test_losses_are_those_of_a_run_that_nothing_happens_to(
    folder: Path, legs: list[dict[int, dict[str, Any]]]
) -> None:
    undisturbed = pickle.loads((folder / "undisturbed.pkl").read_bytes())
    expected_losses, expected_norms = zip(*undisturbed, strict=True)

    for last in STAGES:
        # Back along the way: the stage that saved what the last leg went on from, and so on.
        stages = [last]
        for _ in legs[1:]:
            stages.insert(0, checkpoint_checks.saved_by(stages[0]))
        taken = [
            step for leg, stage in zip(legs, stages, strict=True) for step in leg[stage]["steps"]
        ]
        losses, norms = zip(*taken, strict=True)
        assert losses == pytest.approx(expected_losses, abs=1e-5)
        assert norms == pytest.approx(expected_norms, rel=1e-3)
