"""A stream that can be read again from a place a little before.

A damaged record is found out behind its end. So all bytes from the beginning of the last record on
are kept: in memory, and on the disk where they are many.
"""

import shutil
import tempfile
from typing import IO, Protocol

_CHUNK_BYTES = 1 << 20
_MEMORY_BYTES = 64 << 20
_SPARE_BYTES = 4 << 20
"""Bytes before the last record that are kept until they are worth the copy of those behind them."""


class ArchiveError(Exception):
    """An archive cannot be read, or not further; the message says why."""


class NoArchiveError(ArchiveError):
    """What is read is another kind of file."""


class Source(Protocol):
    """Bytes, in order."""

    def read(self, num_bytes: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        ...


class Tape:
    """Bytes of a source with those since `forget_before`; a file for readers of archives."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._held = _empty()
        self._start = 0
        self._place = 0
        self._end = 0

    def read(self, size: int = -1) -> bytes:
        """Return at most so many bytes; none at the end."""
        if self._place < self._end:
            self._held.seek(self._place - self._start)
            data = self._held.read(size)
        else:
            data = self._source.read(size)
            self._held.seek(0, 2)
            self._held.write(data)
            self._end += len(data)
        self._place += len(data)
        return data

    def tell(self) -> int:
        """Return the place of the next read in the source."""
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        """Have the next read begin at a place that is kept."""
        assert whence == 0, "places count from the beginning"
        assert self._start <= offset <= self._end, f"{offset} is not kept"
        self._place = offset
        return offset

    def forget_before(self, place: int) -> None:
        """Keep nothing that lies before a place."""
        if place - self._start < _SPARE_BYTES:
            return
        held = _empty()
        self._held.seek(place - self._start)
        shutil.copyfileobj(self._held, held)
        self._held.close()
        self._held = held
        self._start = place

    def peek(self, place: int, num_bytes: int) -> bytes:
        """Return so many bytes from a place on, fewer at the end; the next read begins there."""
        self.seek(place)
        pieces: list[bytes] = []
        while num_bytes > 0 and (data := self.read(num_bytes)):
            pieces.append(data)
            num_bytes -= len(data)
        self.seek(place)
        return b"".join(pieces)

    def skip(self, num_bytes: int) -> int:
        """Read on by so many bytes; return how many there were."""
        left = num_bytes
        while left and (data := self.read(min(left, _CHUNK_BYTES))):
            left -= len(data)
        return num_bytes - left

    def close(self) -> None:
        """Let go of what is kept."""
        self._held.close()


def _empty() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_MEMORY_BYTES, prefix="openalign-")
