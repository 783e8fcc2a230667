"""Reads of remote files that are tried again, and that are asked for ahead of their use."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from threading import Condition, Thread
from typing import NamedTuple, TypeVar

from openalign.errors import InputError, StageError, is_full_disk
from openalign.files import storage

T = TypeVar("T")

NUM_REQUESTS = 32
"""Of one process at once: enough for a thousand small reads a second at 30 ms each."""

MOST_BYTES_AHEAD = 256 << 20
"""Of one process: some 5,000 images of 50 kB."""

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
    content = tried_again(
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
    return tried_again(url, partial(storage.read_bytes, url), "its bytes")


def tried_again(
    url: str, read: Callable[[], T], what: str, *, final: type[Exception] = InputError
) -> T:
    """Return what `read` returns; where it fails it is tried again, but for a `final` error.

    Raises:
        StageError: it has failed several times, or access is refused.
    """
    for wait in (*_WAITS_SECONDS, None):
        try:
            return read()
        except final:
            raise
        except PermissionError as error:
            holds = "its permissions let you" if storage.is_local(url) else "your credentials hold"
            raise StageError(f"{url} may not be read: {error}", hint=f"see that {holds}") from error
        except Exception as error:  # every driver has errors of its own
            if is_full_disk(error):  # where it is copied to
                raise
            if wait is None:
                raise StageError(
                    f"{url}: {what} could not be read, {1 + len(_WAITS_SECONDS)} times in a row: "
                    f"{error!r}",
                    hint="see that the store can be reached; the same command goes on from there",
                ) from error
            time.sleep(wait)
    raise AssertionError


class AskedAhead:
    """Reads that run in threads until somebody wants what they have read.

    None begins while those that have begun, and that nobody has wanted yet, have `most_bytes`
    together. What is wanted before is read at once.

    The threads are daemons: one whose read never comes back holds up no process that ends.
    """

    def __init__(
        self, read: Callable[[Stretch], bytes], *, most_bytes: int = MOST_BYTES_AHEAD
    ) -> None:
        self._read = read
        self._most_bytes = most_bytes
        self._waiting: OrderedDict[Stretch, None] = OrderedDict()
        """What is to be read, in this order."""

        self._begun: dict[Stretch, Future[bytes]] = {}
        self._begun_bytes = 0
        self._num_threads = 0
        self._changed = Condition()

    def ask(self, stretches: Iterable[Stretch]) -> None:
        """Begin to read; `NUM_REQUESTS` at once, in this order. Each is wanted once."""
        with self._changed:
            self._waiting |= {each: None for each in stretches if each not in self._begun}
            for number in range(self._num_threads, min(NUM_REQUESTS, len(self._waiting))):
                self._num_threads += 1
                Thread(target=self._work, name=f"read-{number}", daemon=True).start()

    def read(self, stretch: Stretch) -> bytes:
        """Return what was asked for, or read it now if nobody has begun to."""
        with self._changed:
            begun = self._let_go(stretch)
        return self._read(stretch) if begun is None else begun.result()

    def drop(self, stretches: Iterable[Stretch]) -> None:
        """Let go of what nobody wants any more."""
        with self._changed:
            for stretch in stretches:
                self._let_go(stretch)

    def close(self) -> None:
        """Let go of what nobody has wanted."""
        with self._changed:
            self.drop([*self._waiting, *self._begun])

    def _let_go(self, stretch: Stretch) -> Future[bytes] | None:
        self._waiting.pop(stretch, None)
        begun = self._begun.pop(stretch, None)
        if begun is not None:
            self._begun_bytes -= stretch.length
        self._changed.notify()
        return begun

    def _work(self) -> None:
        while (job := self._next()) is not None:
            stretch, future = job
            try:
                future.set_result(self._read(stretch))
            except BaseException as error:  # noqa: BLE001  # raised again where it is awaited
                future.set_exception(error)

    def _next(self) -> tuple[Stretch, Future[bytes]] | None:
        """Return what a thread is to read once there is room for it; None ends the thread."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._waiting or self._begun_bytes < self._most_bytes
            )
            self._changed.notify()  # there may be room for more, or no work for others either
            if not self._waiting:
                self._num_threads -= 1
                return None
            stretch, _ = self._waiting.popitem(last=False)
            self._begun_bytes += stretch.length
            future = self._begun[stretch] = Future[bytes]()
            return stretch, future
