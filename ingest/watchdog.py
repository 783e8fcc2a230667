"""A watchdog for pages: one that takes far too long ends the job, with the page's name.

Budgets bound what a page costs, and they alone decide states: a clock would decide otherwise on
another machine. The watchdog is for mistakes in them. It is a process of its own, because code in C
that loops may let no thread of its process run. It writes no state, so a rerun comes to the page
again.

Both processes share a piece of memory. To note a page there takes a microsecond; a message for each
page would wake the other process each time.
"""

import atexit
import mmap
import os
import struct
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

from openalign.errors import StageError

LIMIT_SECONDS = 300.0
"""A hundred times what the dearest page within its budget takes on a slow machine."""

NUM_SLOTS = 256
"""Pieces of work at one time; further ones are not watched."""

SLOT_BYTES = 512
"""Of a slot: a number that is odd while there is work, and goes up with each; the name's length;
and as much of the name as there is room for."""

_NOTES_BETWEEN_CHECKS = 1024
"""To ask whether the other process lives takes longer than to note a page."""

HEAD = struct.Struct("<QQ")

_SCRIPT = Path(__file__).with_name("watchdog_process.py")


class Watchdog:
    """A process that watches this one, and ends with it."""

    def __init__(self, limit_seconds: float) -> None:
        with tempfile.TemporaryFile(prefix="openalign-") as file:
            file.truncate(NUM_SLOTS * SLOT_BYTES)
            self._memory = mmap.mmap(file.fileno(), NUM_SLOTS * SLOT_BYTES)
            # Without a session of its own it would get the Ctrl-C that is meant for its parent.
            self._process = subprocess.Popen(  # noqa: S603  # this Python, a script of ours
                [sys.executable, "-I", "-S", str(_SCRIPT), str(limit_seconds), str(file.fileno())],
                stdin=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(file.fileno(),),
            )
        self._free = deque(range(NUM_SLOTS))
        self._counts = [0] * NUM_SLOTS

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Watch a piece of this thread's work.

        Raises:
            StageError: somebody has ended the process.
        """
        try:
            slot = self._free.pop()
        except IndexError:
            yield
            return
        if self._counts[slot] % _NOTES_BETWEEN_CHECKS == 0 and self._process.poll() is not None:
            raise StageError(
                "the process that watches over pages was ended",
                hint="run the same command again; it goes on where it was",
            )
        self._note(slot, name.encode())
        try:
            yield
        finally:
            self._note(slot, b"")
            self._free.append(slot)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _note(self, slot: int, name: bytes) -> None:
        name = name[: SLOT_BYTES - HEAD.size]
        place = slot * SLOT_BYTES
        if name:
            self._memory[place + HEAD.size : place + HEAD.size + len(name)] = name
        self._counts[slot] += 1
        HEAD.pack_into(self._memory, place, self._counts[slot], len(name))


def watched(name: str) -> AbstractContextManager[None]:
    """Watch a piece of this thread's work under `LIMIT_SECONDS`."""
    return _watchdog_of(os.getpid()).watched(name)


@cache
def _watchdog_of(pid: int) -> Watchdog:
    """Return the watchdog of this process; a forked one has another."""
    del pid
    watchdog = Watchdog(LIMIT_SECONDS)
    atexit.register(watchdog.close)
    return watchdog
