"""The rank that hangs is named."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import run_checks
import torch
import torch.distributed as dist
from tiny_training import finish, make_corpus, start_ranks, tiny_config

from openalign.train.config import TrainConfig
from openalign.train.ranks import RankGroup
from openalign.train.watchdog import (
    COMPUTES,
    HUNG,
    MEETS,
    READS,
    SAVES,
    STARTS,
    TESTED,
    TESTS,
    Doing,
    Watch,
    describe_hang,
    watched,
)


def doing(rank: int, step: int, activity: str) -> Doing:
    return Doing(rank, f"host{rank // 2}", step, activity)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        pytest.param(
            [doing(0, 7, MEETS), doing(1, 7, MEETS), doing(2, 7, READS), doing(3, 7, MEETS)],
            ["rank 2 on host1 waits for its pairs at step 7", "the other 3 wait for that"],
            id="one reads",
        ),
        pytest.param(
            [doing(0, 8, READS), doing(1, 7, MEETS)],
            ["rank 1 on host0 meets the others at step 7", "the other 1 wait for that"],
            id="a step behind",
        ),
        pytest.param(
            [doing(0, 7, MEETS), doing(1, 7, MEETS)],
            ["all of them: meets the others at step 7"],
            id="the network",
        ),
        pytest.param(
            [doing(0, 7, MEETS), None],
            ["rank 1: not heard of", "rank 0 on host0 meets the others at step 7"],
            id="one never began",
        ),
        pytest.param(
            [doing(0, 1000, TESTED), doing(1, 256, TESTS), doing(2, 512, TESTS)],
            ["rank 1 on host0 tests at image 256", "the other 2 wait for that"],
            id="one tests",
        ),
        pytest.param(
            [doing(0, 7, MEETS)._replace(waits=True), doing(1, 7, MEETS)],
            ["rank 1 on host0 meets the others at step 7", "the other 1 wait for that"],
            id="one between two collectives",
        ),
        pytest.param(
            [doing(0, 1000, TESTED), doing(1, 1000, TESTED)],
            ["all of them: waits for what the others test at image 1000"],
            id="the network after a test",
        ),
    ],
)
def test_those_behind_are_named(told: list[Doing | None], said: list[str]) -> None:
    first, *others = describe_hang(told, seconds=90.4).splitlines()

    assert first == "no rank has got on for 90 s"
    assert [line.strip() for line in others] == said


PATIENCE = 8.0
"""Seconds in which a rank must get on in these tests, on a busy machine too."""


def hang(folder: str) -> None:
    """Be a rank; rank 1 stops in the middle of a step, and rank 0 waits for it."""
    from openalign.train import zero

    with zero.joined_ranks() as ranks, watched(ranks, minutes=PATIENCE / 60) as at:
        assert _timeout_seconds() > 60 * (TrainConfig().hang_minutes or 0)  # else it ends first
        for step in range(3):
            at(step, COMPUTES)
            if step == 2 and ranks.rank == 1:
                Path(folder, "hangs").touch()
                time.sleep(600)
            at(step, MEETS)
            dist.all_reduce(torch.zeros(1))


def _timeout_seconds() -> float:
    group = dist.distributed_c10d._get_default_group()
    return group._get_backend(torch.device("cpu")).options._timeout.total_seconds()


@pytest.mark.distributed
@pytest.mark.slow
def test_a_run_that_hangs_ends_and_says_who_hung(tmp_path: Path) -> None:
    processes = start_ranks((hang, (str(tmp_path),)), num_ranks=2, folder=tmp_path)
    said = processes[0].communicate()[0]
    processes[1].kill()
    processes[1].communicate()

    assert processes[0].returncode == HUNG
    assert (tmp_path / "hangs").exists()
    assert "rank 1 on" in said
    assert "computes at step 2\n  the other 1 wait for that" in said
    assert "in hang" in said  # where this rank is itself


def hang_in_a_start(folder: str) -> None:
    """Be a rank; both take long for their own work, and then rank 1 hangs where rank 0 waits."""
    from openalign.train import zero

    with zero.joined_ranks() as ranks, watched(ranks, minutes=PATIENCE / 60) as at:
        at(0, STARTS)
        time.sleep(1.5 * PATIENCE)
        dist.barrier()
        Path(folder, f"works-{ranks.rank}").touch()
        if ranks.rank == 1:
            time.sleep(600)
        dist.barrier()


@pytest.mark.distributed
@pytest.mark.slow
def test_a_start_takes_as_long_as_it_takes_but_for_who_is_waited_for(tmp_path: Path) -> None:
    processes = start_ranks((hang_in_a_start, (str(tmp_path),)), num_ranks=2, folder=tmp_path)
    said = processes[0].communicate()[0]
    processes[1].kill()
    processes[1].communicate()

    assert processes[0].returncode == HUNG
    assert len(list(tmp_path.glob("works-*"))) == 2
    assert re.search(r"error: no rank has got on for \d+ s\n  rank 1 on ", said)
    assert " starts\n  the other 1 wait for that" in said


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "doing"),
    [
        pytest.param("build_optimizer", "starts", id="in the start"),
        pytest.param("report", "meets the others at step 0", id="before a checkpoint is saved"),
    ],
)
def test_a_training_that_hangs_names_who_hung(tmp_path: Path, before: str, doing: str) -> None:
    config = tiny_config(checkpoint_every_steps=1, hang_minutes=3 * PATIENCE / 60)
    corpus = make_corpus(tmp_path / "corpus")
    job = (run_checks.train_until_one_hangs, (config, corpus, str(tmp_path), before))

    processes = start_ranks(job, num_ranks=2, folder=tmp_path)
    said = processes[0].communicate()[0]
    processes[1].kill()
    processes[1].communicate()

    assert processes[0].returncode == HUNG, said
    assert re.search(rf"  rank 1 on \S+ {doing}\n  the other 1 wait for that", said)


def wait_for_a_slow_writer(folder: str) -> None:
    """Be a rank; rank 1 writes for twice the patience, while rank 0 waits for it."""
    from openalign.train import zero

    with zero.joined_ranks() as ranks, watched(ranks, minutes=PATIENCE / 60) as at:
        at(7, MEETS)
        if ranks.rank == 1:
            at(7, SAVES)
            for _ in range(32):
                time.sleep(PATIENCE / 16)
                at.moved()
        dist.barrier()
        Path(folder, f"met-{ranks.rank}").touch()


@pytest.mark.distributed
@pytest.mark.slow
def test_a_rank_waits_for_one_that_still_writes(tmp_path: Path) -> None:
    finish(start_ranks((wait_for_a_slow_writer, (str(tmp_path),)), num_ranks=2, folder=tmp_path))

    assert len(list(tmp_path.glob("met-*"))) == 2


def test_what_gets_on_has_all_of_its_time_again() -> None:
    now = [0.0]
    alone = RankGroup(rank=0, world_size=1, device=torch.device("cpu"))
    watch = Watch(alone, None, seconds=60, setting="it", clock=lambda: now[0])

    def idle_after(seconds: float) -> float:
        now[0] += seconds
        return watch._idle_seconds()

    idle_after(0)  # sees for the first time what the others are at
    watch(3, READS)
    assert idle_after(50) == 50
    watch(3, SAVES)
    assert idle_after(50) == 50
    watch.moved()
    assert idle_after(50) == 50
    assert idle_after(50) == 100


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([doing(1, image, TESTS) for image in (0, 256, 256, 512, 512)], id="test"),
        pytest.param(
            [Doing(1, "host0", 7, SAVES, num_moved=count) for count in (0, 1, 1, 2, 2)], id="write"
        ),
    ],
)
def test_a_rank_waits_while_others_get_on(others: Sequence[Doing]) -> None:
    store = dist.HashStore()
    pair = RankGroup(rank=0, world_size=2, device=torch.device("cpu"))
    watch = Watch(pair, store, seconds=60, setting="it")
    watch._since = 0.0

    def waits_on(other: Doing) -> bool:
        """Tell whether the wait begins anew when the other rank is at something."""
        store.set("1", json.dumps(other))
        watch._seen_since = 0.0
        return watch._idle_seconds() < 1.0

    assert [waits_on(other) for other in others] == [True, True, False, True, False]
