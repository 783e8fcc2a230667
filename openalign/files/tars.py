"""Tars as they are found: where each member lies, and which members are one sample.

Only headers are read, and the members that are asked for. A remote tar is read through once, in the
blocks of its driver.
"""

import hashlib
import re
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.lfs import hint_about

_BLOCK = 512
_PIECE_BYTES = 1 << 20
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
"""A sample's key and a member's suffix, as the library webdataset divides them."""

_META = re.compile(r"__[^/]*__($|/)")
"""Members that webdataset keeps for itself."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A regular file in a tar. It can be read until the next member is asked for."""

    name: str
    offset: int
    """Of its content in the tar, bytes."""

    length: int
    _url: str
    _archive: tarfile.TarFile
    _info: tarfile.TarInfo

    def read(self) -> bytes:
        """Return its content.

        Raises:
            InputError: the tar ends before.
        """
        return b"".join(self._pieces())

    def sha256(self) -> str:
        """Return the hash of its content, in hex.

        Raises:
            InputError: the tar ends before.
        """
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self) -> Iterator[bytes]:
        with _errors_name(self._url):
            content = self._archive.extractfile(self._info)
            assert content is not None, "a regular file has content"
            while piece := content.read(_PIECE_BYTES):
                yield piece


def tar_members(url: str) -> Iterator[TarMember]:
    """Yield the regular files of a tar, in order; those before a damage come before its error.

    Raises:
        InputError: it is no tar, is compressed, broken or cut off; names the byte.
        StageError: its disk or object store fails.
    """
    with storage.open_read(url) as source:
        with _errors_name(url), tarfile.open(fileobj=source, mode="r:") as archive:
            while (info := archive.next()) is not None:
                if info.isreg():
                    yield _member(url, archive, info)
                # The library would keep all of them.
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue]
            end = archive.offset
        _check_end(url, source, end)


def sample_name(name: str) -> tuple[str, str] | None:
    """Return the key and the suffix that the name of a member stands for, as webdataset does.

    The key ends at the first dot of the file's name. Suffixes are in lower case. None for a member
    that belongs to no sample.
    """
    found = _NAME.fullmatch(name)
    if found is None or _META.match(name):
        return None
    return found[1], found[2].lower()


def _member(url: str, archive: tarfile.TarFile, info: tarfile.TarInfo) -> TarMember:
    if info.issparse():
        raise InputError(f"{url}: {info.name} is sparse", hint="pack it again without --sparse")
    if info.size < 0:
        raise InputError(f"{url}: {info.name} has {info.size} bytes")
    return TarMember(info.name, info.offset_data, info.size, url, archive, info)


@contextmanager
def _errors_name(url: str) -> Generator[None]:
    try:
        yield
    except (tarfile.TarError, RecursionError) as error:  # headers of headers of headers
        raise InputError(
            f"{url}: it is no tar, or a broken one: {error}",
            hint=hint_about(url, "a compressed tar must be unpacked to a plain one first"),
        ) from error
    except OSError as error:
        raise StageError(
            f"{url} cannot be read: {error.strerror or error}",
            hint="see that the disk or the object store is well; the same command tries again",
        ) from error


def _check_end(url: str, source: IO[bytes], end: int) -> None:
    """Refuse a tar that does not end with an empty header.

    Python's library takes a broken header, and the end of the file, for the end of the tar.
    """
    source.seek(end)
    header = source.read(_BLOCK)
    if len(header) < _BLOCK:
        raise InputError(
            f"{url}: ends at byte {end + len(header)} without the mark of a tar's end",
            hint="it was cut off: fetch or pack it again",
        )
    if header.strip(b"\0"):
        raise InputError(f"{url}: the header at byte {end} is broken")
