"""How many checkpoints a run adds to a disk, and whether one fits, worked out by hand."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from one_rank import engine_of, folder_in
from tiny_training import finish, start_ranks, tiny_config

from openalign.errors import StageError
from openalign.train.checkpoints import room
from openalign.train.checkpoints.manifest import Progress
from openalign.train.checkpoints.room import DiskShare, check_fits, num_to_come
from openalign.train.checkpoints.saver import CheckpointTerms, Saver
from openalign.train.config import Validation
from openalign.train.ranks import RankGroup
from openalign.train.updates import RewindSpikes

CONFIG = replace(tiny_config(), checkpoint_every_steps=100, keep_checkpoints=2)
TERMS = CheckpointTerms(made_from={}, settings={}, keep=2, keep_every_steps=0, beside={})
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
        # 16 as above, the best of all, and the best before each of the 15 multiples.
        pytest.param(
            {"keep_every_steps": 200, "validation": Validation()},
            [],
            32,
            id="the best of multiples",
        ),
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


class _Usage(NamedTuple):
    free: int


def share(disk: str, num_bytes: int, free_bytes: int) -> DiskShare:
    return DiskShare(disk, Path("/", disk), num_bytes, free_bytes)


def test_what_all_ranks_write_to_a_disk_must_fit_there() -> None:
    check_fits([share("a", 60, 100), share("b", 70, 70), share("a", 40, 101)])

    with pytest.raises(StageError, match=r"takes 101\.0 MB, and 100\.0 MB are free at /a"):
        check_fits(
            [
                share("b", 70_000_000, 70_000_000),
                share("a", 60_000_000, 101_000_000),
                share("a", 41_000_000, 100_000_000),
            ]
        )


def save_in_little_room(path: str, free_bytes: int) -> None:
    """Be one of two ranks, and note what it was told and has written."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    folder = folder_in(Path(path))
    saver = Saver(folder, RankGroup(rank=rank, world_size=2, device=torch.device("cpu")), TERMS)
    told = ""
    with mock.patch.object(room.shutil, "disk_usage", return_value=_Usage(free_bytes)):
        saver.save(*engine_of(fill=2, step=2), Progress(step=2))
        try:
            saver.wait()
        except StageError as error:
            told = str(error)
    written = sorted(found.name for found in folder.partial(2).glob("*"))
    saver.close()
    Path(path, f"{rank}.pkl").write_bytes(pickle.dumps((told, written)))
    dist.destroy_process_group()


@pytest.mark.distributed
@pytest.mark.parametrize(("free_bytes", "saved"), [(167, []), (168, [2])])
def test_ranks_that_share_a_disk_are_told_beforehand_that_the_sum_does_not_fit(
    tmp_path: Path, free_bytes: int, saved: list[int]
) -> None:
    """12 floats three times, half of them each, and 24 bytes of rank 0's: 96 and 72 bytes."""
    job = (save_in_little_room, (str(tmp_path), free_bytes))
    finish(start_ranks(job, num_ranks=2, folder=tmp_path / "ranks"))

    for rank in range(2):
        told, written = pickle.loads((tmp_path / f"{rank}.pkl").read_bytes())
        assert written == []
        assert ("a checkpoint takes 0.0 MB" in told) is (not saved)
    assert folder_in(tmp_path).steps() == saved
