"""Where a run writes, and which of its files are the stage's result."""

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
from openalign.files.manifest import DataFile
from openalign.telemetry import say
from openalign.train.data.vocabulary import VOCABULARY_FILE
from openalign.train.journal import METRICS_FILE, SKIPPED_FILE

EXPORT_FOLDER = "export"
LOCK_FILE = "running.lock"
"""In the local work folder; rank 0 holds its lock while it trains."""

_LOCAL_WORK = "work"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_PATIENCE_SECONDS = 5.0
_SECONDS_BETWEEN_TRIES = 0.1
_LINES = (".jsonl", ".txt")
"""Files whose rows are their lines."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this run writes, on this machine."""

    result: Path
    checkpoints: Path


def local_folders(output: str, work: str) -> Folders:
    """Return where to write. DeepSpeed needs local files, so a URL gets a folder of this machine.

    The folder's name follows from the URL: a run that was killed goes on there, on this machine.
    """
    if storage.is_local(output):
        return Folders(storage.local_path(output), storage.local_path(work) / "checkpoints")
    name = f"openalign-train-{hashlib.sha256(output.encode()).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir()) / name
    return Folders(folder, folder / _LOCAL_WORK / "checkpoints")


def upload(folder: Path, output: str) -> None:
    """Copy what was made on this machine to where it belongs.

    It stays here too: until the stage is sealed, a run that is killed has nothing else to go on
    from.
    """
    for name in storage.list_files(str(folder)):
        if not name.startswith(f"{_LOCAL_WORK}/"):
            storage.write_bytes(storage.join(output, name), (folder / name).read_bytes())
    say(f"train     {folder} can be removed once the stage is complete")


@contextmanager
def only_run(work: Path, *, patience_seconds: float = _PATIENCE_SECONDS) -> Generator[None]:
    """Keep other runs out of a local work folder until the block, or this process, ends.

    A run that is just ending, as after a kill, is waited for.

    Raises:
        StageError: another run is in there, or has completed the stage meanwhile.
    """
    work.mkdir(parents=True, exist_ok=True)
    path = work / LOCK_FILE
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait_for(lock, path, patience_seconds)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int, path: Path, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StageError(
                    f"another run trains in {path.parent}: {os.pread(lock, 200, 0).decode()}",
                    hint="wait for it or end it; the same command goes on from its checkpoints",
                ) from error
            time.sleep(_SECONDS_BETWEEN_TRIES)
            continue
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f"train     {path.parent} has no locks: see that no other run trains there")
        break
    if not (path.exists() and os.path.samestat(os.fstat(lock), path.stat())):
        raise StageError(
            f"another run has completed the stage in {path.parent} meanwhile",
            hint="run the same command again: it finds the result",
        )


def data_files(folder: Path) -> list[DataFile]:
    """List what belongs to the result; times and TensorBoard's files do not."""
    exported = storage.list_files(str(folder / EXPORT_FOLDER))
    names = [VOCABULARY_FILE, METRICS_FILE, SKIPPED_FILE]
    names += [f"{EXPORT_FOLDER}/{name}" for name in exported]
    return [_data_file(folder, name) for name in names if (folder / name).exists()]


def _data_file(folder: Path, name: str) -> DataFile:
    path = folder / name
    return DataFile(
        name=name,
        num_rows=path.read_bytes().count(b"\n") if name.endswith(_LINES) else 1,
        num_bytes=path.stat().st_size,
        sha256=storage.sha256_of(str(path)),
    )
