"""A lone rank's process group, and a small engine to save and load."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from openalign.files.leases import Fence
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import Progress
from openalign.train.checkpoints.saver import CheckpointTerms, Saver
from openalign.train.optim.lamb import ShardedOptimizer
from openalign.train.ranks import RankGroup

RANKS = RankGroup(rank=0, world_size=1, device=torch.device("cpu"))


class Engine:
    """What a checkpoint asks of DeepSpeed's engine in stage 0."""

    def __init__(self, *, fill: float) -> None:
        self.module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        for tensor in self.module.state_dict().values():
            tensor.fill_(fill)

    def zero_optimization_stage(self) -> int:
        return 0


@contextmanager
def alone() -> Generator[RankGroup]:
    """Be the only rank while the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    try:
        yield RANKS
    finally:
        dist.destroy_process_group()


def engine_of(*, fill: float, step: int) -> tuple[Any, ShardedOptimizer]:
    """Return an engine all of whose weights and moments are one number, after so many updates."""
    engine = Engine(fill=fill)
    optimizer = ShardedOptimizer([{"params": list(engine.module.parameters())}])
    for parameter in engine.module.parameters():
        state = optimizer.state_of(parameter)
        state["step"].fill_(step)
        state["exp_avg"].fill_(fill + 1)
        state["exp_avg_sq"].fill_(fill + 2)
    return engine, optimizer


def folder_in(path: Path, url: str = "", fence: Fence | None = None) -> CheckpointFolder:
    """Return a run's checkpoints in a folder, or under a URL with the folder as scratch."""
    return CheckpointFolder(
        url=url or str(path / "checkpoints"), scratch=path / "scratch", fence=fence
    )


def saver_of(folder: CheckpointFolder, **changes: Any) -> Saver:
    """Return what saves them."""
    values: dict[str, Any] = {
        "made_from": {"`select`": "abc"},
        "settings": {"seed": 0},
        "keep": 2,
        "keep_every_steps": 0,
        "beside": {},
    }
    return Saver(folder, RANKS, CheckpointTerms(**values | changes))


def save(folder: CheckpointFolder, *steps: int, **changes: Any) -> None:
    """Write checkpoints of these steps, each filled with its own number."""
    saver = saver_of(folder, **changes)
    try:
        for step in steps:
            saver.save(*engine_of(fill=step, step=step), Progress(step=step, sample_hash="5a"))
        saver.wait()
    finally:
        saver.close()
