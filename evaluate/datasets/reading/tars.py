"""Tars of images with labels or captions: where each member lies, and the texts asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.slices import FileSlice
from openalign.files.tars import TarMember, tar_members

MAX_TEXT_BYTES = 1 << 20
"""Members that are read while a tar is indexed are labels and captions; a longer one is neither."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar."""

    name: str
    place: FileSlice
    content: bytes | None = None
    """Where it was asked for."""


def members(url: str, *, with_content: Callable[[str], bool] = lambda _: False) -> Iterator[Member]:
    """Yield the regular files of a tar, in order. `with_content` tells by a name what is read.

    Raises:
        InputError: it is no tar, is compressed, broken or cut off; names the byte.
    """
    for member in tar_members(url):
        place = FileSlice(url, member.offset, member.length)
        content = _text(url, member) if with_content(member.name) else None
        yield Member(member.name, place, content)


def _text(url: str, member: TarMember) -> bytes:
    if member.length > MAX_TEXT_BYTES:
        raise InputError(
            f"{url}: {member.name} has {member.length} bytes; a label or captions have at most "
            f"{MAX_TEXT_BYTES}"
        )
    return member.read()
