"""Undoes the content encodings of bodies, piece by piece, and never loses a body to a name.

Servers name encodings that are none (`UTF-8`, `binary`, `image/jpeg`), and encodings that they did
not apply. What is not known is passed over, and what does not begin as its encoding says is taken
as it stands, as browsers do. A body that ends within its encoding gives what there is.
"""

import re
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

ACCEPTED = "gzip, deflate, br"
"""What requests ask for, as a value of Accept-Encoding."""

_MAX_LAYERS = 5
"""No server encodes more often. A list may name thousands, and each costs a call within a call."""

_PIECE_BYTES = 64 * 1024
_SURE_BYTES = 1024
"""So much of a body tells whether it is encoded: other data breaks each decoder earlier."""

# A block of four bytes can stand for 128 KiB (RFC 8878 3.1.1.2), so few are decoded at once.
_ZSTD_BYTES = 256
_MAX_ZSTD_WINDOW_BYTES = 8 << 20
"""What every decoder must support over HTTP (RFC 9659); more is refused."""

_ZSTD_FRAME = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""How a frame begins, and one that stands for nothing (RFC 8878 3.1)."""

_WRONG_CHECK = ("incorrect data check", "incorrect length check")
"""What zlib says where all of a stream is there, and its checksum is not that of the content."""

_LENGTH_BYTES = 4
"""Behind the checksum of a member of gzip."""

# `<size>;chunk-signature=<...>`, from the second one on behind the line end of the last chunk.
_CHUNK = re.compile(rb"(?:\r\n)?([0-9a-fA-F]{1,8})(?:;[^\r\n]{0,200})?\r\n")
_START_OF_CHUNK = re.compile(
    rb"(?:\r?|\r\n[0-9a-fA-F]{0,8}|[0-9a-fA-F]{1,8})(?:;[^\r\n]{0,200})?\r?"
)


class EncodingError(ValueError):
    """A body that began as its encoding says cannot be decoded further."""


class _Step(Protocol):
    """Undoes one encoding."""

    @property
    def is_complete(self) -> bool:
        """Tell whether the encoding's own end was there."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes, in pieces of bounded size.

        Raises:
            ValueError: the bytes cannot be decoded.
        """
        ...


class Decoder:
    """Undoes one encoding of one body, or hands it on as it stands if it does not begin so."""

    def __init__(self, step: _Step) -> None:
        self._step: _Step | None = step
        self._start = bytearray()
        self._is_sure = False

    @property
    def is_complete(self) -> bool:
        """Tell whether the encoding's own end was there, or a body that stands as it is."""
        return self._step is None or self._step.is_complete

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes, in pieces of bounded size.

        Raises:
            EncodingError: the bytes cannot be decoded, and the body was judged before.
        """
        if self._is_sure:
            yield from self._fed(data)
            return
        self._start += data
        if len(self._start) >= _SURE_BYTES:  # no more is judged, however the body comes in
            rest = bytes(self._start[_SURE_BYTES:])
            del self._start[_SURE_BYTES:]
            yield from self._judged()
            yield from self._fed(rest)

    def end(self) -> Iterator[bytes]:
        """Yield what is left when the body has ended.

        Raises:
            EncodingError: see `feed`.
        """
        if self._is_sure:
            return
        start, is_empty = bytes(self._start), True
        for piece in self._judged():
            is_empty = is_empty and not piece
            yield piece
        if is_empty and not self.is_complete:
            self._step = None
            yield start

    def _judged(self) -> Iterator[bytes]:
        start, self._start, self._is_sure = bytes(self._start), bytearray(), True
        try:
            first = next(pieces := self._fed(start), b"")
        except EncodingError:
            self._step = None
            yield start
            return
        yield first
        yield from pieces

    def _fed(self, data: bytes) -> Iterator[bytes]:
        if self._step is None:
            yield data
            return
        try:
            yield from self._step.feed(data)
        except ValueError as error:
            raise EncodingError(str(error)) from error


def decoders_for(values: Sequence[str]) -> list[Decoder]:
    """Return decoders for the values of Content-Encoding, in the order in which they are asked.

    Only the outermost few encodings are undone; what is left of more is judged as it stands.
    """
    names = [_name_in(part) for value in values for part in value.split(",")]
    names.reverse()
    # The chunks of an upload to S3 are around all else, wherever the list names them.
    names.sort(key=lambda name: name != "aws-chunked")
    known = [name for name in names if name in _STEPS]
    return [Decoder(_STEPS[name]()) for name in known[:_MAX_LAYERS]]


def _name_in(part: str) -> str:
    """Return the name in a part of a list: in quotes or with a parameter it means the same."""
    return part.partition(";")[0].strip(" \t\"'").lower()


def fed(decoders: Sequence[Decoder], data: bytes) -> Iterator[bytes]:
    """Yield the content that the next bytes of a body stand for.

    Raises:
        EncodingError: see `Decoder.feed`.
    """
    if not decoders:
        yield data
        return
    for piece in decoders[0].feed(data):
        yield from fed(decoders[1:], piece)


def ended(decoders: Sequence[Decoder]) -> Iterator[bytes]:
    """Yield what is left when the body has ended.

    Raises:
        EncodingError: see `Decoder.feed`.
    """
    for number, decoder in enumerate(decoders):
        for piece in decoder.end():
            yield from fed(decoders[number + 1 :], piece)


class _Gzip:
    """One or more members; what follows them is padding."""

    def __init__(self) -> None:
        self.is_complete = False
        self._member: zlib._Decompress | None = zlib.decompressobj(wbits=31)
        self._head = b""
        self._is_over = False
        self._num_behind: int | None = None
        """Bytes behind a checksum that is wrong; None as long as none is."""

    def _check_end(self, behind: bytes) -> None:
        """See that a member with a wrong checksum is the last: what follows it is in doubt."""
        assert self._num_behind is not None
        self._num_behind += len(behind.rstrip(b"\0"))
        if self._num_behind > _LENGTH_BYTES:
            raise ValueError("more follows a wrong checksum")

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._num_behind is not None:
            self._check_end(data)
            return
        while data and not self._is_over:
            if self._member is None:
                data = self._head + data
                self._head = data[:1]
                if len(data) < 2:  # the magic number's
                    return
                self._head, self._is_over = b"", data[:2] != b"\x1f\x8b"
                self.is_complete = self._is_over
                self._member = zlib.decompressobj(wbits=31)
                continue
            behind = yield from _inflated(self._member, data)
            if behind is not None:
                self.is_complete = True
                self._num_behind = 0
                self._check_end(behind)
                return
            data = self._member.unused_data
            if self._member.eof:
                self.is_complete, self._member = True, None


class _Deflate:
    """With zlib's header, as the standard has it, and without, as some servers do."""

    def __init__(self) -> None:
        self._stream: zlib._Decompress | None = None
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            has_header = data[:1] != b"" and data[0] & 15 == 8  # zlib's only method
            has_header = has_header and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(wbits=15 if has_header else -15)
        if not self.is_complete:
            behind = yield from _inflated(self._stream, data)
            self.is_complete = behind is not None or self._stream.eof


class _Brotli:
    def __init__(self) -> None:
        import brotli  # pages may ask for it, images hardly ever do

        self._error = brotli.error
        self._stream = brotli.Decompressor()

    @property
    def is_complete(self) -> bool:
        return self._stream.is_finished()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while not self._stream.is_finished():
                piece = self._stream.process(data, output_buffer_limit=_PIECE_BYTES)
                yield piece
                data = b""
                if not piece and self._stream.can_accept_more_data():
                    return
        except self._error as error:
            raise ValueError(str(error)) from error


class _Zstd:
    """One or more frames, of which some may be there to be passed over."""

    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
        self._stream = self._unpacker.decompressobj()
        self._head = b""
        self._is_over = False
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_BYTES):
            rest = data[start : start + _ZSTD_BYTES]
            while rest and not self._is_over:
                if self._stream.eof:
                    rest = self._head + rest
                    self._head = rest[:3]
                    if len(rest) < 4:  # the magic number's
                        break
                    self._head, self._is_over = b"", not _ZSTD_FRAME.match(rest)
                    self._stream = self._unpacker.decompressobj()
                    continue
                try:
                    yield self._stream.decompress(rest)
                except self._error as error:
                    raise ValueError(str(error)) from error
                rest = self._stream.unused_data
                self.is_complete = self._stream.eof


class _AwsChunks:
    """The frames in which S3 takes uploads, each with its size; the last one has none."""

    def __init__(self) -> None:
        self._head = b""
        self._num_left = 0
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._head + data
        self._head = b""
        while data and not self.is_complete:
            if self._num_left:
                piece, data = data[: self._num_left], data[self._num_left :]
                self._num_left -= len(piece)
                yield piece
            elif chunk := _CHUNK.match(data):
                self._num_left = int(chunk[1], 16)
                self.is_complete = self._num_left == 0
                data = data[chunk.end() :]
            elif _START_OF_CHUNK.fullmatch(data):
                self._head = data
                return
            else:
                raise ValueError("no chunk begins where one should")


def _inflated(stream: "zlib._Decompress", data: bytes) -> Generator[bytes, None, bytes | None]:
    """Yield what the next bytes unpack to; return what stands behind a wrong checksum, or None.

    The content is there all the same, and whoever decodes the image judges it.
    """
    while True:
        before = stream.copy()
        try:
            piece = stream.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            if not any(said in str(error) for said in _WRONG_CHECK):
                raise ValueError(str(error)) from error
            content, behind = _up_to_the_check(before, data)
            yield content
            return behind
        yield piece
        data = stream.unconsumed_tail
        if stream.eof or (not data and len(piece) < _PIECE_BYTES):
            return None


def _up_to_the_check(stream: "zlib._Decompress", data: bytes) -> tuple[bytes, bytes]:
    """Return what bytes unpack to whose stream ends in a wrong checksum, and those behind it."""
    content, at = bytearray(), 0
    with suppress(zlib.error):
        for at in range(len(data)):
            content += stream.decompress(data[at : at + 1])
    return bytes(content), data[at + 1 :]


_STEPS: dict[str, Callable[[], _Step]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "x-deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
    "aws-chunked": _AwsChunks,
}
"""Of other names a body is taken as it stands."""
