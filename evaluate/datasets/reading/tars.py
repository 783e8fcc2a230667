"""Tars: where each member lies, found by reading headers only."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.slices import FileSlice
from openalign.files import storage

MAX_TEXT_BYTES = 1 << 20
"""Members that are read while a tar is indexed are labels and captions; a longer one is neither."""

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar."""

    name: str
    place: FileSlice
    content: bytes | None = None
    """Where it was asked for."""


def members(url: str, *, with_content: Callable[[str], bool] = lambda _: False) -> Iterator[Member]:
    """Yield the regular files of a tar, in order. `with_content` tells by a name what is read.

    A remote tar is read through once, in the blocks of its driver.

    Raises:
        InputError: it is no tar, is compressed, broken or cut off; names the byte.
    """
    with storage.open_read(url) as source:
        try:
            with tarfile.open(fileobj=source, mode="r:") as archive:
                while (info := archive.next()) is not None:
                    if info.isreg():
                        yield _member(url, archive, info, with_content)
                    # The library would keep all of them.
                    archive.members = []  # pyright: ignore[reportAttributeAccessIssue]
                end = archive.offset
        except (tarfile.TarError, RecursionError) as error:  # headers of headers of headers
            raise InputError(
                f"{url}: is no tar, or a broken one: {error}",
                hint="a compressed tar must be unpacked to a plain one first",
            ) from error
        _check_end(url, source, end)


def _member(
    url: str, archive: tarfile.TarFile, info: tarfile.TarInfo, with_content: Callable[[str], bool]
) -> Member:
    if info.issparse():
        raise InputError(f"{url}: {info.name} is sparse", hint="pack it again without --sparse")
    if info.size < 0:
        raise InputError(f"{url}: {info.name} has {info.size} bytes")
    place = FileSlice(url, info.offset_data, info.size)
    if not with_content(info.name):
        return Member(info.name, place)
    if info.size > MAX_TEXT_BYTES:
        raise InputError(
            f"{url}: {info.name} has {info.size} bytes; a label or captions have at most "
            f"{MAX_TEXT_BYTES}"
        )
    content = archive.extractfile(info)
    assert content is not None, "a regular file has content"
    return Member(info.name, place, content.read())


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
