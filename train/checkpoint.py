"""Checkpoints: DeepSpeed's shards under a name that appears only when they are whole.

    checkpoints/step-00000400/       what DeepSpeed wrote, and progress.json
    checkpoints/latest               the name of the newest

A run that was killed goes on from the newest checkpoint, on the same number of ranks. The steps
after it are taken again with the same pairs, the same draws and the same losses.
"""

from pathlib import Path
from typing import Any

import msgspec
import torch.distributed as dist

from openalign.errors import StageError
from openalign.files import storage

_LATEST = "latest"
_PROGRESS = "progress.json"


class Progress(msgspec.Struct, kw_only=True):
    """How far a run is, as `progress.json` has it; order and draws are functions of the step."""

    step: int = 0
    """Steps that are done, skipped ones included."""

    sample_hash: str = ""
    """Running hash over the keys of every pair consumed, in order."""

    nonfinite_in_a_row: int = 0
    num_skipped: int = 0
    """Steps whose loss or gradient was not finite, in all."""

    world_size: int = 1


_PROGRESS_FILE = msgspec.json.Decoder(Progress)


def save(engine: Any, folder: Path, progress: Progress, *, keep: int) -> None:
    """Write a checkpoint and drop all but the newest `keep`; all ranks must call it."""
    name = f"step-{progress.step:08d}"
    partial = folder / f".partial-{name}"
    if dist.get_rank() == 0:
        storage.remove(str(partial))
        folder.mkdir(parents=True, exist_ok=True)
    dist.barrier()
    engine.save_checkpoint(str(folder), tag=partial.name, save_latest=False)
    dist.barrier()
    if dist.get_rank() == 0:
        storage.write_bytes(str(partial / _PROGRESS), msgspec.json.encode(progress))
        storage.remove(str(folder / name))
        partial.rename(folder / name)
        storage.write_text(str(folder / _LATEST), name)
        for old in sorted(folder.glob("step-*"))[:-keep]:
            storage.remove(str(old))
        for stale in folder.glob(".partial-*"):
            storage.remove(str(stale))
    dist.barrier()


def latest(folder: Path, *, world_size: int) -> Progress:
    """Return how far the newest checkpoint is; a run without one is at its start.

    Raises:
        StageError: it was written by another number of ranks.
    """
    if not (folder / _LATEST).exists():
        return Progress(world_size=world_size)
    progress = _PROGRESS_FILE.decode((_newest(folder) / _PROGRESS).read_bytes())
    if progress.world_size != world_size:
        raise StageError(
            f"{_newest(folder)} was written by {progress.world_size} ranks, "
            f"and {world_size} want to go on from it",
            hint=f'set train.num_processes={progress.world_size}, with CUDA_VISIBLE_DEVICES="" if '
            f"there are fewer GPUs, or remove {folder} to start over",
        )
    return progress


def load(engine: Any, folder: Path) -> None:
    """Put the newest checkpoint into the engine; all ranks must call it."""
    path, _ = engine.load_checkpoint(str(folder), tag=_newest(folder).name)
    if path is None:
        raise StageError(
            f"{_newest(folder)} is damaged: DeepSpeed finds no checkpoint in it",
            hint=f"remove {folder} to start over",
        )


def _newest(folder: Path) -> Path:
    return folder / (folder / _LATEST).read_text().strip()
