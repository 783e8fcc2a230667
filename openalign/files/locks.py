"""Locks that keep two runs apart, as files that the system gives back when a process ends."""

import errno
import fcntl
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from openalign.errors import StageError
from openalign.files import storage
from openalign.telemetry import say

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_SECONDS_BETWEEN_TRIES = 0.1


@contextmanager
def locked(url: str, *, busy: str, patience_seconds: float = 0.0) -> Generator[None]:
    """Hold a lock file while the block runs.

    An object store has no locks: there the lock keeps out the processes of this machine. Another
    user's lock file is opened for reading, which is enough to lock it. Where there can be no file
    nothing is locked, because nobody can write there. A file system without locks says so.

    Raises:
        StageError: another process holds it; the message begins with `busy`.
    """
    path = _lock_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _open_lock(path)
    except OSError:
        yield
        return
    try:
        _wait_for_lock(lock, path, busy, patience_seconds)
        with suppress(OSError):  # another user's file tells of an earlier holder
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def holder_of(url: str) -> str:
    """Return which process holds a lock, as it wrote it down; empty if none of this machine does.

    A process that takes the lock at this very moment waits for as long as this call takes.
    """
    path = _lock_path(url)
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(lock, 200, 0).decode()
    except OSError:
        return ""
    finally:
        os.close(lock)
    return ""


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def _lock_path(url: str) -> Path:
    if storage.is_local(url):
        return storage.local_path(url)
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"openalign-{name}.lock"


def _wait_for_lock(lock: int, path: Path, busy: str, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise StageError(
                    f"{busy}: {os.pread(lock, 200, 0).decode()}",
                    hint="wait until it has ended, or stop it; the same command goes on from there",
                ) from error
            time.sleep(_SECONDS_BETWEEN_TRIES)
            continue
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f"{path.parent} has no locks: see that no other run is at work there")
        return
