"""Room on the disk: known before the first step, and before each checkpoint.

Ranks that write to one disk need room for what all of them write.
"""

import math
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from openalign.errors import StageError
from openalign.files.leases import boot_id
from openalign.telemetry import say
from openalign.train.config import TrainConfig
from openalign.train.spikes import undone_steps

_BYTES_BESIDE = 1 << 20
"""At most so many lie beside the tensors: places, names, the manifest."""

_ALL_SEE_IT = ""


class DiskShare(NamedTuple):
    """What a rank writes of a checkpoint, and what is free where it does."""

    disk: str
    """The same for all ranks that write to it."""

    folder: Path
    num_bytes: int
    free_bytes: int


def bytes_of_checkpoint(
    trained: Iterable[Tensor], unmoved: Iterable[Tensor], *, num_kept: int
) -> int:
    """Return about how many bytes a checkpoint takes; never too few.

    `num_kept` tensors are kept of each that is trained, beside the weights: moments, an average.
    """
    moved = sum(p.numel() * p.element_size() * (1 + num_kept) for p in trained)
    beside = sum(tensor.numel() * tensor.element_size() for tensor in unmoved)
    return int(1.02 * (moved + beside)) + _BYTES_BESIDE


def num_to_come(config: TrainConfig, there: Collection[int], *, step: int, total_steps: int) -> int:
    """Return how many checkpoints a run from `step` on adds to those `there`, by their steps.

    They are counted when it writes its last one: at no time before do more lie there. What has gone
    by then has made room. The oldest goes once the newest is whole. With validation
    fewer may come.
    """
    every, keep_every = config.checkpoint_every_steps, config.keep_every_steps
    near = math.ceil((undone_steps(config.loss_spikes) - 1) / every)
    num_newest = max(config.keep_checkpoints, near + 1) + 1
    to_come = {*range(step + every - step % every, total_steps, every), total_steps} - {step}
    whole = [each for each in there if each <= step]  # those beyond it go
    newest = sorted({*whole, *to_come})[-num_newest:]

    def num_staying(steps: Collection[int]) -> int:
        return sum(each in newest or (keep_every > 0 and not each % keep_every) for each in steps)

    multiples = sum(keep_every > 0 and not each % keep_every for each in to_come)
    num_best = 0 if config.validation is None else 1 + multiples  # each keeps the best before it
    return num_staying(to_come) + num_best - (len(there) - num_staying(whole))


def require_room(folder: Path, needed: int, *, at_once: int) -> None:
    """See before the first step that a checkpoint fits; say where fewer than `at_once` more do.

    Raises:
        StageError: not even one does.
    """
    free = _free_bytes(folder)
    _check(folder, needed, free)
    if free < needed * at_once:
        say(
            f"train     {at_once} more checkpoints, as many as will lie there at once, take "
            f"{_shown(needed * at_once)}, and {_shown(free)} are free at {folder}"
        )


def share_of(folder: Path, num_bytes: int, *, all_see_it: bool) -> DiskShare:
    """Return what this rank writes to a folder, which is its machine's own or seen by all ranks."""
    disk = _ALL_SEE_IT
    if not all_see_it:
        disk = f"{boot_id()} {folder.stat().st_dev}"
    return DiskShare(disk, folder, num_bytes, _free_bytes(folder))


def check_fits(shares: Sequence[DiskShare]) -> None:
    """See that all that the ranks write fits on each disk.

    Ranks that have told each other their shares all come to the same.

    Raises:
        StageError: it does not.
    """
    for disk in dict.fromkeys(share.disk for share in shares):
        there = [share for share in shares if share.disk == disk]
        needed = sum(share.num_bytes for share in there)
        _check(there[0].folder, needed, min(share.free_bytes for share in there))


def _check(folder: Path, needed: int, free: int) -> None:
    if free < needed:
        raise StageError(
            f"a checkpoint takes {_shown(needed)}, and {_shown(free)} are free at {folder}",
            hint="make room there, or choose another root; the checkpoints that are there stay, "
            "and the same command goes on from the newest",
        )


def _free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _shown(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"
