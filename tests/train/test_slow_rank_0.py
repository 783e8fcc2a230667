"""Two ranks of which the first works longer than a collective would wait."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
import torch.distributed as dist

from openalign.errors import StageError
from openalign.train.ranks import RankGroup, after_every_rank, on_rank_0, slow_on_rank_0

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

_TIMEOUT = timedelta(seconds=2)
_WORK_SECONDS = 6.0


def be_a_rank(folder: str) -> None:
    """Note what this rank was told of slow work, of a mistake, and of slow work in a collective."""
    dist.init_process_group("gloo", timeout=_TIMEOUT)
    rank = dist.get_rank()
    ranks = RankGroup(rank=rank, world_size=2, device=torch.device("cpu"))
    done = Path(folder, "done")

    def work() -> None:
        time.sleep(_WORK_SECONDS)
        done.touch()

    def fail() -> None:
        raise StageError("no words", hint="write some")

    def be_late() -> None:
        time.sleep(_WORK_SECONDS)

    slow_on_rank_0(ranks, work)
    found: dict[str, Any] = {"saw the work": done.exists()}
    try:
        slow_on_rank_0(ranks, fail)
    except StageError as error:
        found["mistake"] = f"{error}; {error.hint}"
    if rank == 0:
        time.sleep(_WORK_SECONDS)
    after_every_rank(ranks)
    found["met"] = True
    Path(folder, f"found-{rank}.json").write_text(json.dumps(found))
    try:
        on_rank_0(ranks, be_late)
    except RuntimeError:
        Path(folder, f"too-late-{rank}").touch()


def test_ranks_wait_longer_than_a_collective_does(tmp_path: Path) -> None:
    job = (be_a_rank, (str(tmp_path),))

    for process in tiny_training.start_ranks(job, num_ranks=2, folder=tmp_path):
        process.communicate()

    expected = {"saw the work": True, "mistake": "no words; write some", "met": True}
    found = [json.loads((tmp_path / f"found-{rank}.json").read_text()) for rank in range(2)]
    assert found == [expected, expected]
    # What a collective does with the same wait, so that the above means something.
    assert (tmp_path / "too-late-1").exists()
