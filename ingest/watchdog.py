"""A watchdog for pages: one that takes far too long ends the job, with the page's name.

Budgets bound what a page costs, and they alone decide states: a clock would decide otherwise on
another machine. The watchdog is for mistakes in them. It is a process of its own, because code in C
that loops may let no thread of its process run. It writes no state, so a rerun comes to the page
again.
"""

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from openalign.errors import StageError

LIMIT_SECONDS = 300.0
"""A hundred times what the dearest page within its budget takes on a slow machine."""

_SCRIPT = Path(__file__).with_name("watchdog_process.py")


class Watchdog:
    """A process that watches this one, and ends with it."""

    def __init__(self, limit_seconds: float) -> None:
        # Without a session of its own it would get the Ctrl-C that is meant for its parent.
        self._process = subprocess.Popen(  # noqa: S603  # this Python, a script of ours
            [sys.executable, "-I", "-S", str(_SCRIPT), str(limit_seconds)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._lock = threading.Lock()

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Watch a piece of this thread's work; its name is one line.

        Raises:
            StageError: somebody has ended the process.
        """
        self._tell(name)
        try:
            yield
        finally:
            self._tell("")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, name: str) -> None:
        assert self._process.stdin is not None
        try:
            with self._lock:
                self._process.stdin.write(f"{threading.get_ident()} {name}\n".encode())
                self._process.stdin.flush()
        except BrokenPipeError as error:
            raise StageError(
                "the process that watches over pages was ended",
                hint="run the same command again; it goes on where it was",
            ) from error


@contextmanager
def watched(name: str) -> Iterator[None]:
    """Watch a piece of this thread's work under `LIMIT_SECONDS`."""
    with _watchdog_of(os.getpid()).watched(name):
        yield


@cache
def _watchdog_of(pid: int) -> Watchdog:
    """Return the watchdog of this process; a forked one has another."""
    del pid
    watchdog = Watchdog(LIMIT_SECONDS)
    atexit.register(watchdog.close)
    return watchdog
