"""Where a run writes on this machine."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from openalign.files import storage
from openalign.files.leases import Fence
from openalign.files.names import (
    CHECKPOINTS_FOLDER,
    METRICS_FILE,
    REPLACED_FILE,
    RUN_LOG,
    SKIPPED_FILE,
    VOCABULARY_FILE,
    WANDB_FOLDER,
    WANDB_ID,
)
from openalign.telemetry import say

_LOCAL_WORK = "work"
_STAY = (f"{_LOCAL_WORK}/", f"{WANDB_FOLDER}/")
"""Folders of a result that belong to this machine."""

_GOES_ON_WITH = (VOCABULARY_FILE, METRICS_FILE, SKIPPED_FILE, REPLACED_FILE, RUN_LOG, WANDB_ID)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this run writes."""

    result: Path
    """On this machine."""

    output: str
    """Where the result and the checkpoints are kept: the same folder, or a URL."""

    scratch: Path
    """On this machine, for checkpoints on their way to or from a URL."""

    fence: Fence | None = None
    """What lets the run publish; None where nothing else can be at work."""

    @property
    def checkpoints(self) -> str:
        """Where the checkpoints are kept."""
        return storage.join(self.output, CHECKPOINTS_FOLDER)

    @property
    def beside(self) -> dict[str, Path]:
        """Files that a run on another machine goes on with, by their URLs; none without a URL."""
        if storage.is_local(self.output):
            return {}
        return {storage.join(self.output, name): self.result / name for name in _GOES_ON_WITH}

    @property
    def notes(self) -> list[Path]:
        """Files that steps add to, and their folder; none with a URL, which gets copies of them."""
        if not storage.is_local(self.output):
            return []
        return [
            *(self.result / name for name in (METRICS_FILE, SKIPPED_FILE)),
            self.result,
        ]


def local_folders(output: str, work: str, *, fence: Fence | None = None) -> Folders:
    """Return where to write. What trains needs local files, so a URL gets a folder of this machine.

    The folder's name is a function of the URL.
    """
    if storage.is_local(output):
        return Folders(storage.local_path(output), output, storage.local_path(work), fence)
    folder = Path(tempfile.gettempdir()) / f"openalign-train-{_short_hash(output)}"
    return Folders(folder, output, folder / _LOCAL_WORK, fence)


def fetch_beside(folders: Folders) -> None:
    """Bring the files that a checkpoint's run goes on with to this machine, in place of its own."""
    for url, path in folders.beside.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if storage.exists(url):
            storage.fetch(url, path)


def upload(folder: Path, output: str, *, fence: Fence) -> None:
    """Copy what was made on this machine to where it belongs; the local files stay.

    Raises:
        StageError: another run has taken the lease.
    """
    for name in storage.list_files(str(folder)):
        if not name.startswith(_STAY):
            fence.check()
            storage.put(folder / name, storage.join(output, name))
    sent = " and its wandb/ is sent" if (folder / WANDB_FOLDER).exists() else ""
    say(f"train     {folder} can be removed once the stage is complete{sent}")


def _short_hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
