"""Writes checkpoints while training goes on.

At a checkpoint each rank copies its share to the CPU, and a thread of its own writes the copy. The
threads meet in a process group of their own (gloo), so they never wait for a step, nor a step for
them. The next checkpoint waits for the one before.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from openalign.errors import OpenAlignError, StageError, is_full_disk
from openalign.files import storage
from openalign.train.checkpoints import pieces, room
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import (
    CheckpointManifest,
    Progress,
    SavedFile,
)
from openalign.train.data.index_check import IndexCheck
from openalign.train.ranks import PATIENCE, RankGroup, is_first_of_machine, together
from openalign.train.replaced_images import NamedImage, write_named


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointTerms:
    """What every checkpoint of a run says of it, and which ones stay."""

    made_from: Mapping[str, str]
    settings: Mapping[str, Any]
    keep: int
    keep_every_steps: int
    beside: Mapping[str, Path]
    """Files of the run, by URL, that belong to what a checkpoint goes on from: they are uploaded
    before it is whole. Empty where the run's folder is where it is kept."""

    replaced: Path | None = None
    """Where rank 0 names the images that gave way to others; None where none can."""

    vocabulary: str = ""
    """As in the manifest."""

    notes: Sequence[Path] = ()
    """Files that the run only adds to, and their folder: a power loss must not leave a checkpoint
    that is beyond them."""

    index_check: IndexCheck | None = None
    """On rank 0: sees whether what the run reads is whole. No checkpoint comes before it has."""

    undone_steps: int = 0
    """How many steps a spike undoes; 0 where none is."""


class Saver:
    """The checkpoints of a run, as one rank writes them; every rank has one."""

    def __init__(self, folder: CheckpointFolder, ranks: RankGroup, kept: CheckpointTerms) -> None:
        self.folder = folder
        self._ranks, self._kept = ranks, kept
        self._group: Any = dist.new_group(backend="gloo", timeout=PATIENCE)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def save(
        self,
        engine: Any,
        optimizer: Any,
        progress: Progress,
        replaced: Sequence[NamedImage] = (),
    ) -> None:
        """Copy what the checkpoint holds, and have it written; every rank calls this.

        What this rank has come upon in `replaced` is named before the checkpoint is whole. The
        list is not changed from here on.

        Raises:
            StageError: the one before could not be written.
        """
        self.wait()
        copied = pieces.snapshot(engine, optimizer, self._ranks)
        at = msgspec.structs.replace(progress)  # the loop goes on with its own
        self._thread = threading.Thread(
            target=self._write_safely, args=(copied, at, replaced), name="checkpoint", daemon=True
        )
        self._thread.start()

    def check(self) -> None:
        """Raise what has stopped a checkpoint from being written, if anything has."""
        if self._failure is not None:
            raise self._failure

    def is_refused(self) -> bool:
        """Tell whether this rank knows that the next checkpoint cannot be written."""
        return self._kept.index_check is not None and self._kept.index_check.failed

    def wait(self) -> None:
        """Wait until nothing is being written.

        Raises:
            StageError: a checkpoint could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def name_replaced(self, replaced: Sequence[NamedImage]) -> None:
        """Name what no checkpoint comes behind; every rank calls this, while nothing is written."""
        by_rank = together(lambda: replaced, group=self._group)
        together(lambda: self._name(by_rank), group=self._group)

    def close(self) -> None:
        """Let go of the threads' group; what is being written is finished first."""
        if self._thread is not None:
            self._thread.join()
        dist.destroy_process_group(self._group)

    def _write_safely(
        self, copied: pieces.Snapshot, progress: Progress, replaced: Sequence[NamedImage]
    ) -> None:
        try:
            self._write(copied, progress, replaced)
        except (Exception, CheckpointException) as error:  # noqa: BLE001  # raised by `check`
            self._failure = self._loss() or _in_words(error, progress.step)

    def _loss(self) -> StageError | None:
        """Return what to say where another run has taken the lease: other errors come of it."""
        try:
            self.folder.check_fence()
        except StageError as lost:
            return lost
        except Exception:  # noqa: BLE001  # out of reach: the first error says what is wrong
            return None
        return None

    def _write(
        self, copied: pieces.Snapshot, progress: Progress, replaced: Sequence[NamedImage]
    ) -> None:
        step, group = progress.step, self._group
        partial = self.folder.partial(step)
        room.check_fits(together(lambda: self._begin(copied, step), group=group))
        pieces.write(copied.chunks, partial, group=group, moved=self.folder.moved)
        files = together(lambda: self._measured(partial), group=group)
        if not self.folder.is_local:
            names = self._own_names(partial)
            together(lambda: self.folder.upload(step, names), group=group)
        of_ranks = together(lambda: (copied.parameters, replaced), group=group)
        manifest = CheckpointManifest(
            progress=progress,
            made_from=dict(self._kept.made_from),
            settings=dict(self._kept.settings),
            parameters=_merged([parameters for parameters, _ in of_ranks]),
            buffers=copied.buffers,
            files=_merged(files),
            vocabulary=self._kept.vocabulary,
            lease=self.folder.lease,
        )
        named = [named for _, named in of_ranks]
        together(lambda: self._end(manifest, named), group=group)

    def _begin(self, copied: pieces.Snapshot, step: int) -> room.DiskShare:
        partial = self.folder.partial(step)
        partial.mkdir(parents=True, exist_ok=True)
        for path in self._kept.notes:
            if path.exists():
                storage.sync(str(path))
        if self._kept.index_check is not None:
            self._kept.index_check.finish(self.folder.moved)
        if self._ranks.rank == 0:
            self.folder.check_fence()
        if self._ranks.rank == 0 and not self.folder.is_local:
            self.folder.withdraw(step)  # its files are about to be written over
        own = sum(chunk.values.numel() * chunk.values.element_size() for chunk in copied.chunks)
        return room.share_of(partial, own, all_see_it=self.folder.is_local)

    def _own_names(self, partial: Path) -> list[str]:
        found = [path.name for path in partial.glob(f"__{self._ranks.rank}_*")]
        return sorted([*found, ".metadata"] if self._ranks.rank == 0 else found)

    def _measured(self, partial: Path) -> dict[str, SavedFile]:
        """Return size and hash of each file that this rank has written."""
        found = {
            name: storage.found_at(str(partial / name), moved=self.folder.moved)
            for name in self._own_names(partial)
        }
        return {
            name: SavedFile(num_bytes=written.num_bytes, sha256=written.sha256)
            for name, written in found.items()
        }

    def _end(self, manifest: CheckpointManifest, by_rank: Sequence[Sequence[NamedImage]]) -> None:
        """Make the checkpoint whole, and remove those that are not kept."""
        step, best = manifest.progress.step, manifest.progress.best
        self._name(by_rank)
        if self._ranks.rank == 0:
            for url, path in self._kept.beside.items():
                if path.exists():  # and the loop may write to it meanwhile
                    self.folder.check_fence()
                    storage.write_bytes(url, path.read_bytes())
            self.folder.publish(step, manifest)
            self.folder.drop_old(
                newest=step,
                keep=self._kept.keep,
                keep_every_steps=self._kept.keep_every_steps,
                undone_steps=self._kept.undone_steps,
                best=None if best is None else best.step,
            )
        if not self.folder.is_local and is_first_of_machine():
            storage.remove(str(self.folder.partial(step)))

    def _name(self, by_rank: Sequence[Sequence[NamedImage]]) -> None:
        if self._ranks.rank == 0 and self._kept.replaced is not None and any(by_rank):
            self.folder.check_fence()
            write_named(self._kept.replaced, by_rank)


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _in_words(error: BaseException, step: int) -> BaseException:
    """Return an error of a thread as one that says what became of the checkpoint."""
    if isinstance(error, OpenAlignError):
        return error
    reasons: list[BaseException] = [error]
    if isinstance(error, CheckpointException):
        reasons = [reason for reason, _ in error.failures.values()]
    full = any(is_full_disk(reason) for reason in reasons)
    return StageError(
        f"the checkpoint of step {step} could not be written: "
        + ("the disk is full" if full else "; ".join(map(repr, reasons))),
        hint="the checkpoints before it stay, and the same command goes on from the newest one "
        "once this is mended",
    )
