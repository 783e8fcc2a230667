"""Reads of remote files that are tried again, and that are asked for ahead of their use."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple

from openalign.errors import InputError, StageError
from openalign.files import storage

NUM_REQUESTS = 32
"""Of one process at once: enough for a thousand small reads a second at 30 ms each."""

_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Before the second try and each later one."""


class Stretch(NamedTuple):
    """A stretch of a shard."""

    shard: str
    offset: int
    length: int


def read_range(url: str, offset: int, length: int) -> bytes:
    """Return `length` bytes from `offset`; fewer where the file ends before.

    Raises:
        InputError: there is no such file.
        StageError: the store has failed several times, refuses access, or sends whole files only.
    """
    content = _tried_again(
        url, partial(storage.read_range, url, offset, length), f"the bytes from {offset} on"
    )
    if len(content) > length:
        raise StageError(
            f"{url} cannot be read at random: its server sends more than it is asked for",
            hint="copy it to a store that answers ranges, or to this machine",
        )
    return content


def read_file(url: str) -> bytes:
    """Return a whole file.

    Raises:
        InputError: there is no such file.
        StageError: the store has failed several times, or refuses access.
    """
    return _tried_again(url, partial(storage.read_bytes, url), "its bytes")


def _tried_again(url: str, read: Callable[[], bytes], what: str) -> bytes:
    for wait in (*_WAITS_SECONDS, None):
        try:
            return read()
        except InputError:
            raise
        except PermissionError as error:
            raise StageError(
                f"{url} may not be read: {error}", hint="see that your credentials still hold"
            ) from error
        except Exception as error:  # every driver has errors of its own
            if wait is None:
                raise StageError(
                    f"{url}: {what} could not be read, {1 + len(_WAITS_SECONDS)} times in a row: "
                    f"{error!r}",
                    hint="see that the store can be reached; the same command goes on from there",
                ) from error
            time.sleep(wait)
    raise AssertionError


_Job = tuple[Future[bytes], Stretch]


class AskedAhead:
    """Reads that run in threads until somebody wants what they have read.

    The threads are daemons: one whose read never comes back holds up no process that ends.
    """

    def __init__(self, read: Callable[[Stretch], bytes]) -> None:
        self._read = read
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._asked: dict[Stretch, Future[bytes]] = {}
        self._lock = Lock()

    def ask(self, stretches: Iterable[Stretch]) -> None:
        """Begin to read; `NUM_REQUESTS` at once, in this order. Each is wanted once."""
        with self._lock:
            if self._jobs is None:
                self._jobs = self._start()
            for stretch in stretches:
                if stretch not in self._asked:
                    future = self._asked[stretch] = Future[bytes]()
                    self._jobs.put((future, stretch))

    def read(self, stretch: Stretch) -> bytes:
        """Return what was asked for, or read it now."""
        with self._lock:
            asked = self._asked.pop(stretch, None)
        return self._read(stretch) if asked is None else asked.result()

    def close(self) -> None:
        """Let go of what nobody has wanted."""
        with self._lock:
            for future in self._asked.values():
                future.cancel()
            self._asked.clear()
            if self._jobs is not None:
                for _ in range(NUM_REQUESTS):
                    self._jobs.put(None)
                self._jobs = None

    def _start(self) -> "SimpleQueue[_Job | None]":
        jobs: SimpleQueue[_Job | None] = SimpleQueue()
        for number in range(NUM_REQUESTS):
            Thread(target=self._work, args=(jobs,), name=f"read-{number}", daemon=True).start()
        return jobs

    def _work(self, jobs: "SimpleQueue[_Job | None]") -> None:
        while (job := jobs.get()) is not None:
            future, stretch = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._read(stretch))
            except BaseException as error:  # noqa: BLE001  # raised again where it is awaited
                future.set_exception(error)
