"""How an archive is packed, and where its records begin and end.

Archives are packed record by record, as Common Crawl's are, so a damaged member of gzip or frame of
Zstandard costs its record alone. The functions here look at the bytes themselves. They are only
asked about the places where something is wrong.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol

import zstandard

from openalign.files.states import RecordFault
from openalign.ingest.sources.archives.tape import Tape

RECORD_START = re.compile(rb"WARC/[01]\.\d\r?\n")
UNPACKING_ERRORS = (zlib.error, zstandard.ZstdError)

_CHUNK_BYTES = 64 << 10
_MARK_BYTES = 64
"""Bytes in which the first line of a plain record and the next one's beginning are seen."""

_MAX_HEADER_BYTES = 1 << 20
NEXT_RECORD = re.compile(rb"(?<=\n)WARC/[01]\.\d\r?\n[A-Za-z-]+:")
_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_HEADER_END = re.compile(rb"\n\r?\n")
_FIELD_NAME = re.compile(rb"^[A-Za-z-]+(?=[ \t]*:)", re.MULTILINE)
_BEHIND_RECORD = re.compile(rb"\r\n\r\n|\n\n|(?:\r\n?\r?|\n)?\Z")
"""What stands behind a record; the last one of a file may end with less."""

_FIRST_LINE = b"WARC/1.0\r\n"

SPELLINGS = {"warc-type": "WARC-Type", "content-length": "Content-Length"}
"""Fields that fastwarc knows in one spelling alone; case means nothing (WARC 1.1, 4)."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a record ends, or why it has no end."""

    end: int = 0
    fault: RecordFault | None = None


def begins_record(content: bytes) -> bool:
    """Tell whether content is the beginning of a record, however little of it is there."""
    whole = content + _FIRST_LINE[len(content) :]
    return bool(content) and RECORD_START.match(whole) is not None


class Packing(Protocol):
    """A form of archive."""

    def extent(self, tape: Tape, start: int) -> Extent:
        """Return the end of the record that begins at a place."""
        ...

    def content(self, tape: Tape, start: int) -> Iterator[bytes]:
        """Yield what is packed from a place on, at least to the end of the record there."""
        ...

    def next_record(self, tape: Tape, start: int) -> int | None:
        """Return the first place from `start` on where a record begins; None if there is none."""
        ...


class Plain:
    """Records one behind the other."""

    def extent(self, tape: Tape, start: int) -> Extent:
        """Return the end of the record that begins at a place."""
        tape.seek(start)
        head = _RecordHead()
        while not head.is_complete and (data := tape.read(_CHUNK_BYTES)):
            head.add(data)
        if head.record_bytes is None:
            return Extent(fault=head.fault)
        end = start + head.record_bytes
        tape.seek(start)
        if tape.skip(head.record_bytes) < head.record_bytes:
            return Extent(fault=RecordFault.CUT_SHORT)
        behind = _BEHIND_RECORD.match(tape.peek(end, 4))
        if behind is None:
            return Extent(fault=RecordFault.WRONG_LENGTH)
        return Extent(end=end + behind.end())

    def content(self, tape: Tape, start: int) -> Iterator[bytes]:
        """Yield what is packed from a place on, at least to the end of the record there."""
        tape.seek(start)
        while data := tape.read(_CHUNK_BYTES):
            yield data

    def next_record(self, tape: Tape, start: int) -> int | None:
        """Return the first place from `start` on where a record begins; None if there is none."""
        return _find(tape, start, NEXT_RECORD, _MARK_BYTES, lambda _: True)


@dataclass(frozen=True, slots=True)
class Members:
    """Records in a member of gzip or a frame of Zstandard each."""

    magic: bytes
    unpacker: Callable[[], Any]

    first_bytes: int
    """Bytes from which the beginning of a record can be unpacked."""

    def extent(self, tape: Tape, start: int) -> Extent:
        """Return the end of the record that begins at a place."""
        tape.seek(start)
        unpacker = self.unpacker()
        head = _RecordHead()
        while not unpacker.eof:
            data = tape.read(_CHUNK_BYTES)
            if not data:
                return Extent(fault=RecordFault.CUT_SHORT)
            try:
                head.add(unpacker.decompress(data))
            except UNPACKING_ERRORS:
                return Extent(fault=RecordFault.DAMAGED)
        if head.record_bytes is None:
            return Extent(fault=head.fault)
        if not 0 <= head.num_bytes - head.record_bytes <= 4:
            return Extent(fault=RecordFault.WRONG_LENGTH)
        return Extent(end=tape.tell() - len(unpacker.unused_data))

    def content(self, tape: Tape, start: int) -> Iterator[bytes]:
        """Yield what is packed from a place on, at least to the end of the record there."""
        tape.seek(start)
        unpacker = self.unpacker()
        while not unpacker.eof and (data := tape.read(_CHUNK_BYTES)):
            if content := unpacker.decompress(data):
                yield content

    def next_record(self, tape: Tape, start: int) -> int | None:
        """Return the first place from `start` on where a record begins; None if there is none."""
        magic = re.compile(re.escape(self.magic))
        return _find(tape, start, magic, self.first_bytes, self._begins_record)

    def _begins_record(self, data: bytes) -> bool:
        try:
            return RECORD_START.match(self.unpacker().decompress(data)) is not None
        except UNPACKING_ERRORS:
            return False


GZIP = Members(b"\x1f\x8b\x08", lambda: zlib.decompressobj(wbits=31), first_bytes=4 << 10)
# Zstandard unpacks whole blocks, each of 128 KiB at most.
ZSTD = Members(
    b"\x28\xb5\x2f\xfd",
    lambda: zstandard.ZstdDecompressor().decompressobj(),
    first_bytes=132 << 10,
)
PLAIN = Plain()


class _RecordHead:
    """The header of a record, as its bytes come in."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self.record_bytes: int | None = None
        """Header and content together; None where no whole header has come."""

        self._head = b""
        self._is_over = False

    @property
    def is_complete(self) -> bool:
        """Tell whether all is known that the header says."""
        return self._is_over

    @property
    def fault(self) -> RecordFault:
        """What is wrong with a header that does not say how long the record is."""
        is_cut = begins_record(self._head) and not self._is_over
        return RecordFault.CUT_SHORT if is_cut else RecordFault.NO_RECORD

    def add(self, data: bytes) -> None:
        """Read on."""
        self.num_bytes += len(data)
        if self._is_over:
            return
        self._head += data
        end = _HEADER_END.search(self._head)
        if end is not None:
            length = _LENGTH.search(self._head, 0, end.end())
            if length is not None and RECORD_START.match(self._head):
                self.record_bytes = end.end() + int(length[1])
        self._is_over = end is not None or len(self._head) > _MAX_HEADER_BYTES


class Respelled:
    """The content of a record, with the names in its header as fastwarc knows them."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        head = b""
        while (end := _HEADER_END.search(head)) is None and (data := next(content, b"")):
            head += data
        place = end.end() if end else len(head)
        self._piece = BytesIO(_FIELD_NAME.sub(_as_known, head[:place]) + head[place:])

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        while not (data := self._piece.read(size)) and (piece := next(self._content, b"")):
            self._piece = BytesIO(piece)
        return data


def _as_known(name: re.Match[bytes]) -> bytes:
    return SPELLINGS.get(name[0].decode().lower(), name[0].decode()).encode()


def _find(
    tape: Tape,
    start: int,
    pattern: re.Pattern[bytes],
    num_bytes: int,
    accepts: Callable[[bytes], bool],
) -> int | None:
    """Return the first place from `start` on where a pattern stands, and `num_bytes` are accepted.

    Fewer bytes are shown at the end.
    """
    tape.seek(start)
    window = b""
    while data := tape.read(_CHUNK_BYTES):
        window += data
        decided = len(window) - num_bytes
        for found in pattern.finditer(window):
            place = found.start()
            if place < decided and accepts(window[place : place + num_bytes]):
                return start + place
        if decided > 0:
            # One byte more, for what a pattern looks back at.
            window = window[decided - 1 :]
            start += decided - 1
            tape.forget_before(start)
    for found in pattern.finditer(window):
        if accepts(window[found.start() :]):
            return start + found.start()
    return None
