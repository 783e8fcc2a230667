"""Reads of image bytes, of which none may take too long."""

import threading
import time

from openalign.errors import StageError
from openalign.files.shards import ShardReader
from openalign.train.data.index import ImagePlace


class TimedReads:
    """Reads from shards, by several threads; another thread looks whether one of them is stuck.

    The system has no way to break off a read: an object store or a file server that does not
    answer holds the thread for ever.
    """

    def __init__(self, reader: ShardReader, *, timeout_seconds: float | None) -> None:
        self._reader = reader
        self._timeout_seconds = timeout_seconds
        self._under_way: dict[int, tuple[float, ImagePlace]] = {}

    def read(self, place: ImagePlace, *, anew: bool = False) -> bytes:
        """Return an image's bytes; trust no copy of them on this machine if `anew`.

        Raises:
            InputError: there is no such shard, or it may not be read.
            StageError: a store has failed several times.
        """
        read = self._reader.read_anew if anew else self._reader.read
        thread = threading.get_ident()
        self._under_way[thread] = (time.monotonic(), place)
        try:
            return read(place.shard, place.offset, place.length)
        finally:
            del self._under_way[thread]

    def check(self) -> None:
        """See that no read takes too long.

        Raises:
            StageError: names the place of the one that began first.
        """
        if self._timeout_seconds is None:
            return
        under_way = list(self._under_way.values())
        if not under_way:
            return
        began, place = min(under_way)
        if time.monotonic() - began > self._timeout_seconds:
            raise StageError(
                f"{place.shard}: the {place.length:,} bytes from {place.offset} on could not be "
                f"read within {self._timeout_seconds:g} s",
                hint="see whether the disk, file server or object store answers, and run the same "
                "command again; train.read_timeout_seconds says how long a read may take",
            )
