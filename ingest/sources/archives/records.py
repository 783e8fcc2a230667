"""The records of an archive, whatever is damaged in it.

A record is handed out once the next one is seen to begin where it should, or the archive to end
there. So a record with a wrong length is found out, and costs neither the one before it nor the one
behind it.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Generic, TypeVar

import msgspec
from fastwarc import ArchiveIterator, WarcRecord, WarcRecordType

from openalign.files.states import RecordFault
from openalign.ingest.sources.archives.packing import (
    GZIP,
    NEXT_RECORD,
    PLAIN,
    RECORD_START,
    SPELLINGS,
    UNPACKING_ERRORS,
    ZSTD,
    Members,
    Packing,
    Respelled,
    begins_record,
)
from openalign.ingest.sources.archives.tape import ArchiveError, NoArchiveError, Source, Tape

_HEAD_BYTES = 1 << 20
"""Bytes that the first two records have, if each is a member of its own."""

_CHUNK_BYTES = 64 << 10

T = TypeVar("T")


class FoundRecord(msgspec.Struct, Generic[T], frozen=True):
    """A record that is whole."""

    offset: int
    """Where it begins in the archive, in bytes; in one that is packed as a whole, where it begins
    in what is unpacked."""

    value: T


def read_records(
    source: Source, take: Callable[[WarcRecord], T | None]
) -> Iterator[FoundRecord[T] | RecordFault]:
    """Yield what `take` reads of each record, in order, and a fault for each that is bad.

    `take` returns None for a record that is of no interest.

    Raises:
        ArchiveError: the archive is none, or ends too early; raised behind its records.
    """
    with closing(Tape(source)) as tape:
        members = _members_of(tape)
        if members is None or _has_record_each(tape, members):
            yield from _records(tape, members or PLAIN, take)
            return
        with _unpacked(tape, members) as (content, problem):
            yield from _records(content, PLAIN, take)
            if problem:
                raise ArchiveError(problem)


def _records(
    tape: Tape, packing: Packing, take: Callable[[WarcRecord], T | None]
) -> Iterator[FoundRecord[T] | RecordFault]:
    place: int | None = 0
    num_records = 0
    while place is not None and not _is_end(tape, place):
        run = _RecordStretch(tape, place, take)
        yield from run.all_but_last()
        num_records += run.num_records
        begin, extent = run.begin, packing.extent(tape, run.begin)
        if run.is_misspelled and extent.fault is None:
            run.read_respelled(packing.content(tape, begin))
        if run.is_read and extent.fault is None:
            place = extent.end
            is_end, behind = _is_end(tape, place), packing.extent(tape, place)
            if not is_end and behind.fault is None and not run.is_misspelled:
                # Both look whole, so the library took the header of the first one otherwise.
                yield RecordFault.WRONG_LENGTH
                continue
            yield from run.last()
            if is_end:
                return
            if behind.fault is None:
                continue
            begin, extent = place, behind
        place = packing.next_record(tape, begin + 1)
        fault = extent.fault or RecordFault.NO_RECORD
        if fault is RecordFault.CUT_SHORT and place is None:
            yield fault
            raise ArchiveError("it ends within a record: it was cut short")
        yield RecordFault.WRONG_LENGTH if fault is RecordFault.CUT_SHORT else fault
    if num_records == 0:
        raise ArchiveError("no record in it can be read")


class _RecordStretch(Generic[T]):
    """The records from a place on, up to the first damage or the end."""

    def __init__(self, tape: Tape, place: int, take: Callable[[WarcRecord], T | None]) -> None:
        self._tape = tape
        self._take = take
        self._value: T | None = None
        self.num_records = 0
        self.begin = place
        """Where the last record begins, or what is none."""

        self.is_read = False
        """Whether the library has read a record there, to its end."""

        self.is_misspelled = False
        """Whether that record has a field that the library passes over for its spelling."""

    def all_but_last(self) -> Iterator[FoundRecord[T]]:
        """Yield each record once the library has found the next one."""
        self._tape.seek(self.begin)
        try:
            for record in ArchiveIterator(self._tape, parse_http=False):
                if self._value is not None:
                    yield FoundRecord(self.begin, self._value)
                self.begin, self._value, self.is_read = record.stream_pos, None, False
                self.num_records += 1
                self._tape.forget_before(self.begin)
                self.is_misspelled = _is_misspelled(record)
                if self.is_misspelled:
                    return
                self._value = self._take(record)
                self.is_read = True
        except OSError:
            pass  # the library does not say what is wrong, and where

    def read_respelled(self, content: Iterator[bytes]) -> None:
        """Read the last record from its content, with all of its fields."""
        with suppress(OSError), closing(Tape(Respelled(content))) as tape:
            for record in ArchiveIterator(tape, parse_http=False):
                self._value, self.is_read = self._take(record), True
                return

    def last(self) -> Iterator[FoundRecord[T]]:
        """Yield the last record so far, if it is of interest."""
        if self._value is not None:
            yield FoundRecord(self.begin, self._value)


def _is_misspelled(record: WarcRecord) -> bool:
    if record.content_length and record.record_type != WarcRecordType.no_type:
        return False
    names = [name for name, _ in record.headers.items()]
    return any(name not in SPELLINGS.values() and name.lower() in SPELLINGS for name in names)


def _is_end(tape: Tape, place: int) -> bool:
    """Tell whether nothing but padding follows."""
    return not tape.peek(place, _CHUNK_BYTES).strip(b"\0\r\n")


def _members_of(tape: Tape) -> Members | None:
    """Return how an archive is compressed; None for one that is not.

    Raises:
        NoArchiveError: it is no archive.
        ArchiveError: it is empty.
    """
    head = tape.peek(0, ZSTD.first_bytes)
    if not head:
        raise ArchiveError("it is empty")
    magic = head[: len(ZSTD.magic)]
    members = next((form for form in (GZIP, ZSTD) if _begin_alike(magic, form.magic)), None)
    content = head
    if members is not None:
        try:
            content = members.unpacker().decompress(head[: members.first_bytes])
        except UNPACKING_ERRORS:
            return members  # later members may be whole
        if not content:
            return members
    if RECORD_START.match(content) is None:
        if begins_record(content):
            raise ArchiveError("it ends within a record: it was cut short")
        raise NoArchiveError(f"it begins with {content[:16]!r}")
    return members


def _begin_alike(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


def _has_record_each(tape: Tape, members: Members) -> bool:
    """Tell, by the first two, whether each member of an archive is a record."""
    rest = tape.peek(0, _HEAD_BYTES)
    for number in range(2):
        unpacker, content = members.unpacker(), b""
        while rest and not unpacker.eof:
            try:
                content += unpacker.decompress(rest[:_CHUNK_BYTES])
            except UNPACKING_ERRORS:
                return NEXT_RECORD.search(content) is None
            rest = rest[_CHUNK_BYTES:]
        if NEXT_RECORD.search(content) or (number == 0 and not unpacker.eof):
            return False
        rest = unpacker.unused_data + rest
    return True


@contextmanager
def _unpacked(tape: Tape, members: Members) -> Generator[tuple[Tape, str]]:
    """Yield what is packed as a whole, on the disk, and why it ends too early, if it does."""
    tape.seek(0)
    with tempfile.TemporaryFile(prefix="openalign-") as content:
        unpacker, rest, problem = members.unpacker(), b"", ""
        is_within = False
        while data := rest or tape.read(_CHUNK_BYTES):
            try:
                content.write(unpacker.decompress(data))
            except UNPACKING_ERRORS:
                problem = "its compressed data is damaged: what lies behind is lost"
                break
            is_within = not unpacker.eof
            rest = b"" if is_within else unpacker.unused_data.lstrip(b"\0")
            unpacker = unpacker if is_within else members.unpacker()
            tape.forget_before(tape.tell())
        content.seek(0)
        problem = problem or ("its compressed data is cut short" if is_within else "")
        with closing(Tape(content)) as unpacked:
            yield unpacked, problem
