"""Where a run's checkpoints are kept, and how one becomes whole, is checked, and goes.

They are kept in a folder that all machines see, or under a URL. Files for a URL lie in a scratch
folder of this machine on their way there and back; nothing is concluded from what lies in it.
"""

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.file_systems import nothing
from openalign.files.leases import Fence
from openalign.train.checkpoint_names import MANIFEST_FILE, name_of, steps_in
from openalign.train.checkpoints.damage import DamagedError, read_or_damaged
from openalign.train.checkpoints.manifest import (
    CheckpointManifest,
    SavedFile,
    read_manifest,
    sealed,
)

_PARTIAL = ".partial-"
_COPY = ".copy-"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """The checkpoints of one run."""

    url: str
    scratch: Path
    """Of this machine; for what is kept under a URL."""

    fence: Fence | None = None
    """Looked at before anything is published or removed; None for who only reads."""

    moved: Callable[[], None] = nothing
    """Called by any thread when a piece of a checkpoint's file is read or written."""

    @property
    def is_local(self) -> bool:
        """Whether every machine writes to and reads from the folder itself."""
        return storage.is_local(self.url)

    @property
    def room(self) -> Path:
        """The folder of this machine in which a checkpoint needs room."""
        return storage.local_path(self.url) if self.is_local else self.scratch

    def url_of(self, step: int) -> str:
        """Return where a checkpoint is kept."""
        return storage.join(self.url, name_of(step))

    @property
    def lease(self) -> str:
        """The name of the lease under which checkpoints are written."""
        return self.fence.name if self.fence is not None else ""

    def _files_url(self, step: int, lease: str) -> str:
        """Return where the files of a checkpoint lie that is kept under a URL."""
        return storage.join(self.url_of(step), lease) if lease else self.url_of(step)

    def partial(self, step: int) -> Path:
        """Return the folder into which ranks write a checkpoint; no other run writes there."""
        return self.room / f"{_PARTIAL}{name_of(step)}{self.lease and '-'}{self.lease}"

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints, the newest first, whether or not they are whole."""
        return steps_in(self.url)

    def upload(self, step: int, names: Collection[str]) -> None:
        """Copy files that this rank has written to where the checkpoint is kept.

        Raises:
            OSError: a file did not arrive whole.
        """
        for name in names:
            path = self.partial(step) / name
            url = storage.join(self._files_url(step, self.lease), name)
            storage.put(path, url, moved=self.moved)
            if storage.size_of(url) != path.stat().st_size:
                raise OSError(f"{url} has not the size of what was uploaded")
            path.unlink()

    def publish(self, step: int, manifest: CheckpointManifest) -> None:
        """Make a checkpoint whole whose other files are written; rank 0 alone.

        Raises:
            StageError: another run has taken the lease, or a file is not there: a rank wrote its
                own to another place.
        """
        content = sealed(manifest)
        self.check_fence()
        if not self.is_local:
            storage.write_bytes(storage.join(self.url_of(step), MANIFEST_FILE), content)
            return
        unfinished, target = self.partial(step), storage.local_path(self.url_of(step))
        _check_all_there(unfinished, manifest)
        storage.write_bytes(str(unfinished / MANIFEST_FILE), content)
        storage.sync(str(unfinished))
        self.check_fence()
        storage.remove(str(target))
        unfinished.rename(target)
        storage.sync(str(target.parent))

    def withdraw(self, step: int) -> None:
        """Let what is kept of a step count as no checkpoint: it is about to be written anew."""
        self.check_fence()
        storage.remove(storage.join(self.url_of(step), MANIFEST_FILE))

    def drop_old(
        self,
        *,
        newest: int,
        keep: int,
        keep_every_steps: int,
        undone_steps: int = 0,
        best: int | None = None,
    ) -> None:
        """Remove all but the newest `keep`, the best, and those of every so many (0: no) steps.

        `best` is where the loss in validation was lowest. What was the lowest up to a checkpoint
        that stays is kept as well, for a run that goes back to it. What lies beyond `newest` was
        passed over, damaged or cut off: it goes, for it must not push out what is whole. If a spike
        undoes steps, all stay from which those before them may have to be taken again: the newest
        that lies far enough back, and those behind it.
        """
        self.drop_beyond(newest)
        steps = self.steps()
        if undone_steps:
            num_near = sum(step > newest + 1 - undone_steps for step in steps)
            keep = max(keep, num_near + 1)
        stay = [*steps[:keep], *(s for s in steps if keep_every_steps and not s % keep_every_steps)]
        if best is not None:
            stay += [best, *(found for step in stay if (found := self._best_up_to(step)))]
        for step in steps:
            if step not in stay:
                self._drop(step)

    def _best_up_to(self, step: int) -> int | None:
        try:
            best = read_manifest(self.url_of(step)).progress.best
        except DamagedError:
            return None
        return None if best is None else best.step

    def drop_beyond(self, newest: int) -> None:
        """Remove what lies beyond a step."""
        for step in self.steps():
            if step > newest:
                self._drop(step)

    def _drop(self, step: int) -> None:
        self.withdraw(step)  # first: what is left of a removal is no checkpoint
        storage.remove(self.url_of(step))

    def drop_unfinished(self) -> None:
        """Remove what killed runs have left on this machine. No rank may be writing there."""
        if self.room.exists():
            for path in [*self.room.glob(f"{_PARTIAL}*"), *self.room.glob(f"{_COPY}*")]:
                shutil.rmtree(path)

    def local_files(self, step: int) -> Path:
        """Return the folder of this machine that has, or will have, a checkpoint's files."""
        return self.room / (name_of(step) if self.is_local else f"{_COPY}{name_of(step)}")

    def check_fence(self) -> None:
        """See that this run still holds its lease, where it has one.

        Raises:
            StageError: another run has taken it.
        """
        if self.fence is not None:
            self.fence.check()

    def copy_here(self, step: int, manifest: CheckpointManifest) -> None:
        """Copy a checkpoint from its URL to this machine.

        Raises:
            DamagedError: a file is not there.
            StageError: one cannot be reached.
        """
        folder = self.local_files(step)
        folder.mkdir(parents=True, exist_ok=True)
        for name in manifest.files:
            url = storage.join(self._files_url(step, manifest.lease), name)
            fetch = partial(storage.fetch, url, folder / name, moved=self.moved)
            read_or_damaged(url, fetch)

    def check_file(self, step: int, name: str, saved: SavedFile) -> None:
        """See that a file of this machine is what was written.

        Raises:
            DamagedError: it is not there, of another length, or holds other bytes.
            StageError: it cannot be reached.
        """
        path = str(self.local_files(step) / name)
        found = read_or_damaged(path, partial(storage.found_at, path, moved=self.moved))
        if found.num_bytes != saved.num_bytes:
            raise DamagedError(
                f"{name} has {found.num_bytes:,} bytes in place of {saved.num_bytes:,}"
            )
        if found.sha256 != saved.sha256:
            raise DamagedError(f"{name} holds other bytes than were written")


def _check_all_there(folder: Path, manifest: CheckpointManifest) -> None:
    for name, saved in manifest.files.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != saved.num_bytes:
            raise StageError(
                f"the checkpoint of step {manifest.progress.step} is not whole: {path} is not what "
                "a rank wrote",
                hint="let every machine see the run's folder under one name",
            )
