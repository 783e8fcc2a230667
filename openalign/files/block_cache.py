"""Parts of remote files on this machine's disk, shared by its processes.

Files are cut into blocks of `BLOCK_BYTES`. A block is a file whose name is a hash of what the
remote files are, of their URL and of the block's number: nothing is concluded from times, and what
has changed has other names. Blocks appear whole, by a rename. Of several processes that miss a
block one asks for it, and the others wait for it.

Training reads a corpus in another random order each epoch, for which least recently used is a poor
rule: of a corpus twice as large as the cache 15% of the images would be found. So a share of the
blocks that fits is drawn by their names, and only those are kept: then half of them are found. The
blocks used least recently go when another corpus needs the room.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from openalign.errors import FULL_DISK

BLOCK_BYTES = 1 << 20
"""Ten to twenty images: a request's latency is that of so many bytes, and a first batch that meets
a new block with every image does not read the corpus."""

_NAME_DIGITS = 64
_FOLDER_DIGITS = 3
_SIZE_FILE = "size"
_SIZE_BYTES = 8
_KEPT_AFTER_EVICTION = 0.9
_UNFINISHED = "unfinished"
_LOCK = "lock"

Fetch = Callable[[int, int], bytes]
"""Returns so many bytes of the remote file from an offset; fewer where it ends before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCache:
    """Blocks of remote files in a folder of this machine, `limit_bytes` of them at most."""

    folder: Path
    limit_bytes: int

    identity: str
    """What the files are: a hash that differs where a byte of them does."""

    share: float = 1.0
    """Of all blocks, how many are kept."""

    def read(self, url: str, offset: int, length: int, *, fetch: Fetch) -> bytes:
        """Return `length` bytes of a file from `offset`, from blocks where they are kept.

        If one of the blocks is not kept, exactly these bytes are asked for.
        """
        numbers = range(offset // BLOCK_BYTES, -(-(offset + length) // BLOCK_BYTES))
        paths = [self._path(url, number) for number in numbers]
        if not paths or None in paths:
            return fetch(offset, length)
        pieces: list[bytes] = []
        for number, path in zip(numbers, paths, strict=True):
            assert path is not None
            begin = number * BLOCK_BYTES
            start, stop = max(offset - begin, 0), min(offset + length - begin, BLOCK_BYTES)
            pieces.append(self._piece(path, begin, start, stop - start, fetch))
        return b"".join(pieces)

    def forget(self, url: str, offset: int, length: int) -> None:
        """Remove the blocks that hold these bytes: they are not what was written."""
        for number in range(offset // BLOCK_BYTES, -(-(offset + length) // BLOCK_BYTES)):
            path = self._path(url, number)
            if path is not None:
                path.unlink(missing_ok=True)

    def _path(self, url: str, number: int) -> Path | None:
        """Return where a block lies or would lie, or None where it is not to be kept."""
        name = hashlib.sha256(f"{self.identity}\0{url}\0{number}".encode()).hexdigest()
        drawn = int(name[-8:], 16) / 2**32
        return self.folder / name[:_FOLDER_DIGITS] / name if drawn < self.share else None

    def _piece(self, path: Path, begin: int, start: int, length: int, fetch: Fetch) -> bytes:
        found = _read(path, start, length)
        if found is not None:
            return found
        if not _is_made(path.parent):
            return fetch(begin + start, length)
        with _locked(path.parent / _LOCK):
            found = _read(path, start, length)  # another process may have been faster
            if found is not None:
                return found
            content = fetch(begin, BLOCK_BYTES)
            self._keep(path, content)
        return content[start : start + length]

    def _keep(self, path: Path, content: bytes) -> None:
        """Write a block; its folder's lock is held. A full disk keeps it out, and is no error."""
        unfinished = path.parent / _UNFINISHED  # a killed writer's is written over
        try:
            if not self._reserve(len(content)):
                return
            with unfinished.open("wb") as sink:
                sink.write(content)
                sink.flush()
                os.fsync(sink.fileno())
            unfinished.replace(path)
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            unfinished.unlink(missing_ok=True)

    def _reserve(self, num_bytes: int) -> bool:
        """Count bytes that are about to be written, and make room; return False if there is none.

        What a killed writer has counted and not written is noticed when room is made.
        """
        with _locked(self.folder / _SIZE_FILE) as counter:
            counted = os.pread(counter, _SIZE_BYTES, 0)
            total = int.from_bytes(counted, "little") if counted else self._evict(num_bytes)
            if total + num_bytes > self.limit_bytes:
                total = self._evict(num_bytes)
            fits = total + num_bytes <= self.limit_bytes
            total += num_bytes if fits else 0
            os.pwrite(counter, total.to_bytes(_SIZE_BYTES, "little"), 0)
        return fits

    def _evict(self, num_bytes: int) -> int:
        """Remove what was used least recently until there is room; return the bytes that stay.

        Whoever has a block open reads on.
        """
        blocks: list[tuple[float, int, Path]] = []
        for path in self.folder.glob(f"{'?' * _FOLDER_DIGITS}/{'?' * _NAME_DIGITS}"):
            with suppress(FileNotFoundError):
                found = path.stat()
                blocks.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in blocks)
        if total + num_bytes <= self.limit_bytes:
            return total
        for _, size, path in sorted(blocks):
            if total + num_bytes <= self.limit_bytes * _KEPT_AFTER_EVICTION:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total


def _is_made(folder: Path) -> bool:
    """Make a folder of blocks and its lock file; return False where the disk is full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _LOCK).touch()
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        return False
    return True


def _read(path: Path, start: int, length: int) -> bytes | None:
    """Return a piece of a block, or None where it is not there; note that it was used."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        os.utime(descriptor)  # what was used last goes last
        return os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Generator[int]:
    """Hold a lock file, and yield its descriptor; the system gives it back when a process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
