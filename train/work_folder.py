"""Where a run writes on this machine, and the lock that keeps other runs out of its stage."""

import errno
import fcntl
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.telemetry import say

_LOCAL_WORK = "work"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_PATIENCE_SECONDS = 5.0
_SECONDS_BETWEEN_TRIES = 0.1


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this run writes, on this machine."""

    result: Path
    checkpoints: Path


def local_folders(output: str, work: str) -> Folders:
    """Return where to write. DeepSpeed needs local files, so a URL gets a folder of this machine.

    The folder's name is a function of the URL: a run that was killed goes on there, on this
    machine.
    """
    if storage.is_local(output):
        return Folders(storage.local_path(output), storage.local_path(work) / "checkpoints")
    folder = Path(tempfile.gettempdir()) / f"openalign-train-{_short_hash(output)}"
    return Folders(folder, folder / _LOCAL_WORK / "checkpoints")


def upload(folder: Path, output: str) -> None:
    """Copy what was made on this machine to where it belongs.

    The local files stay: a run that is killed before the stage is sealed goes on from them.
    """
    for name in storage.list_files(str(folder)):
        if not name.startswith(f"{_LOCAL_WORK}/"):
            storage.write_bytes(storage.join(output, name), (folder / name).read_bytes())
    say(f"train     {folder} can be removed once the stage is complete")


@contextmanager
def only_run(stage: StageFolder, *, patience_seconds: float = _PATIENCE_SECONDS) -> Generator[None]:
    """Keep other runs out of a stage until the block, or this process, ends.

    Rank 0 holds this lock from before its first step until the stage is sealed; whoever starts
    ranks holds it while it looks at the stage. The lock is the stage's, whatever the settings: a
    run that seals removes what runs with other settings have begun. A run that is just ending, as
    after a kill, is waited for. Where the lock file cannot be written nothing is locked, because
    nobody can write there.

    Raises:
        StageError: another run is at work on the stage.
    """
    path = _lock_path(stage)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        yield
        return
    try:
        _wait_for(lock, stage, patience_seconds)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def _lock_path(stage: StageFolder) -> Path:
    if storage.is_local(stage.root):
        return storage.local_path(stage.lock_url)
    # An object store has no locks; this one keeps out the runs of this machine.
    return Path(tempfile.gettempdir()) / f"openalign-{_short_hash(stage.url)}.lock"


def _wait_for(lock: int, stage: StageFolder, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StageError(
                    f"another run is at work on {stage.url}: {os.pread(lock, 200, 0).decode()}",
                    hint="wait for it or end it; the same command goes on from its checkpoints",
                ) from error
            time.sleep(_SECONDS_BETWEEN_TRIES)
            continue
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f"train     {stage.root} has no locks: see that no other run trains there")
        return


def _short_hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
