"""What a run is told to try where there are too few pairs."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest
from tiny_training import tiny_config, tiny_model

from openalign.run.smaller_batch import fewer_pairs_hint
from openalign.run.stage_work import training
from openalign.train.config import Duration, TrainConfig, Validation
from openalign.train.optim.schedule import pairs_needed
from openalign.train.presets import BatchNorm, GhostBatchNorm, LocalBatchNorm, SyncBatchNorm
from openalign.train.updates import Schedule


@pytest.fixture(autouse=True, params=[0, 3], ids=["no GPU", "three GPUs"])
def num_gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openalign.train.local_ranks.count_gpus", lambda: request.param)


def settings(batch_norm: BatchNorm, *, num_processes: int = 0, epochs: bool = True) -> TrainConfig:
    image_tower = replace(tiny_model().image_tower, batch_norm=batch_norm)
    return tiny_config(
        model=tiny_model(image_tower=image_tower),
        global_batch_size=7680,
        block_size=240,
        num_processes=num_processes,
        duration=Duration(epochs=10) if epochs else Duration(steps=1000),
        schedule=Schedule(warmup_steps=500),
    )


def tried(train: TrainConfig, hint: str) -> TrainConfig:
    """Return settings as the hint changes them."""
    _, _, words = hint.partition("or try --set train.")
    changes: Mapping[str, int] = {
        name: int(value)
        for name, _, value in (word.partition("=") for word in words.split(" --set train."))
    }
    warmup = changes.get("schedule.warmup_steps", train.schedule.warmup_steps)
    return replace(
        train,
        global_batch_size=changes["global_batch_size"],
        block_size=changes.get("block_size", train.block_size),
        schedule=replace(train.schedule, warmup_steps=warmup),
    )


@pytest.mark.parametrize("num_pairs", [40, 100, 1000, 7000])
@pytest.mark.parametrize("num_batches", [0, 1, 12])
def test_what_is_named_is_accepted(num_pairs: int, num_batches: int) -> None:
    kinds = (LocalBatchNorm(), SyncBatchNorm(), GhostBatchNorm(group_size=2), GhostBatchNorm())
    validation = Validation(batches=num_batches) if num_batches else None
    named = 0
    for kind, num_processes, epochs in itertools.product(kinds, (0, 1, 2, 3, 5), (True, False)):
        train = settings(kind, num_processes=num_processes, epochs=epochs)
        train = replace(train, validation=validation)
        hint = fewer_pairs_hint(train, num_pairs)
        if "--set" in hint:
            named += 1
            found = tried(train, hint)
            training.check_ranks(found)
            assert pairs_needed(found) <= num_pairs
    assert named >= 10


@pytest.mark.parametrize(
    ("num_processes", "num_pairs", "named"),
    [
        pytest.param(0, 100, "global_batch_size=16 --set train.block_size=16", id="one group"),
        pytest.param(3, 400, "global_batch_size=48 --set train.block_size=16", id="one a rank"),
        pytest.param(0, 6000, "global_batch_size=512 --set train.block_size=128", id="blocks"),
    ],
)
def test_a_batch_is_of_whole_groups(num_processes: int, num_pairs: int, named: str) -> None:
    train = settings(GhostBatchNorm(group_size=16), num_processes=num_processes)

    assert f"or try --set train.{named} --set" in fewer_pairs_hint(train, num_pairs)


def test_a_batch_that_is_small_enough_stays_as_it_is() -> None:
    """5,000 pairs are 52 steps of 96, and the warm-up is longer; 63 pairs are no batch of 96."""
    train = tiny_config(
        global_batch_size=96,
        block_size=None,
        duration=Duration(epochs=1),
        schedule=Schedule(warmup_steps=100),
    )

    tried = "gather more, loosen the rules, or try --set train."
    assert fewer_pairs_hint(train, 5000) == f"{tried}schedule.warmup_steps=5"
    assert fewer_pairs_hint(train, 63).startswith(f"{tried}global_batch_size=4 ")


def test_where_no_batch_is_small_enough_it_is_said_what_needs_fewer() -> None:
    plain = settings(LocalBatchNorm(), num_processes=1)
    ghost = settings(GhostBatchNorm(group_size=16), num_processes=3)

    assert fewer_pairs_hint(plain, 1) == "gather more, or loosen the rules"
    assert fewer_pairs_hint(ghost, 47) == (
        "gather more, or loosen the rules; or try fewer ranks (`train.num_processes`); or try "
        "smaller groups of ghost batch norm"
    )
    assert "or try --set train.global_batch_size=48 " in fewer_pairs_hint(ghost, 48)
    assert "fewer pairs to validate on" in fewer_pairs_hint(
        replace(ghost, validation=Validation(batches=1)), 48
    )
