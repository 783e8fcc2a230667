"""Counts that workers leave in the work folder as they go, to show how far a job is.

They are for people alone and no part of a result: what is done twice is counted twice, the last
second of a worker may be missing, and where the work folder is no local path there are none.
"""

import json
import math
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from openalign.files import storage

_FOLDER = "live"
_SECONDS_BETWEEN_WRITES = 1.0


def add_live(work: str, counts: Mapping[str, int]) -> None:
    """Add to what this process has counted of the job whose work folder is named."""
    writer = _writer_of(work, os.getpid())
    if writer is not None:
        writer.add(counts)


def read_live(work: str) -> Counter[str]:
    """Return what all workers have counted so far."""
    counts: Counter[str] = Counter()
    if storage.is_local(work):
        for path in _folder_of(work).glob("*.json"):
            with suppress(OSError, ValueError):  # it is being written or removed
                counts.update(json.loads(path.read_text()))
    return counts


def clear_live(work: str) -> None:
    """Forget what an earlier attempt has counted."""
    storage.remove(storage.join(work, _FOLDER))


def _folder_of(work: str) -> Path:
    return storage.local_path(work) / _FOLDER


@cache
def _writer_of(work: str, pid: int) -> "_Writer | None":
    """Return what writes for this process; a forked one has another."""
    name = f"{pid}-{uuid.uuid4().hex}.json"
    return _Writer(_folder_of(work) / name) if storage.is_local(work) else None


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: Counter[str] = Counter()
        self._written = -math.inf  # never: the clock may be at 0
        self._lock = threading.Lock()

    def add(self, counts: Mapping[str, int]) -> None:
        with self._lock:
            self._counts.update(counts)
            gone = [name for name, added in counts.items() if added < 0 == self._counts[name]]
            for name in gone:
                del self._counts[name]
            now = time.monotonic()
            if not gone and now - self._written < _SECONDS_BETWEEN_WRITES:
                return
            self._written = now
            # The work folder is gone once the job has ended, and must not come back.
            with suppress(OSError):
                self._path.parent.mkdir(exist_ok=True)
                self._path.write_text(json.dumps(self._counts))
