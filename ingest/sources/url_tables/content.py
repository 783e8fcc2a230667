"""The bytes of a file: without its compression, and as blocks of UTF-8 text."""

import codecs
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO, Any

import pyarrow as pa

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.lfs import refuse_pointer
from openalign.ingest.sources.url_tables.found import codec_of

BLOCK_BYTES = 16 << 20
"""Bytes of text that are read and parsed at a time; no row may be longer."""

HEAD_BYTES = 1 << 20
"""Bytes that are read at a time where only the columns are asked for."""

_PIECE_BYTES = 1 << 16
"""Bytes that are unpacked at a time: what lies in a piece before some damage is lost with it."""

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins as that of UTF-16 does
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_SNIFFED_BYTES = 1024


@contextmanager
def open_stream(url: str) -> Generator[Any]:
    """Open a file's content from its beginning to its end."""
    with storage.open_read(url) as file:
        codec = codec_of(url)
        if codec == "gzip":  # Arrow takes zeros that pad the file, as tapes do, for damage
            yield gzip.GzipFile(fileobj=file)
        else:
            yield file if codec is None else pa.CompressedInputStream(file, codec)


@contextmanager
def open_seekable(url: str) -> Generator[IO[bytes]]:
    """Open a file's content for reads at any place; what is compressed is unpacked to the disk."""
    if codec_of(url) is None:
        with storage.open_read(url) as file:
            yield file
        return
    with tempfile.TemporaryFile(prefix="openalign-") as unpacked:
        with open_stream(url) as stream:
            shutil.copyfileobj(stream, unpacked, BLOCK_BYTES)
        unpacked.seek(0)
        yield unpacked


def text_blocks(url: str, num_bytes: int) -> Iterator[bytes]:
    """Yield a text file as UTF-8, about `num_bytes` at a time; nothing where it holds nothing.

    The byte order mark of UTF-8, UTF-16 or UTF-32 is obeyed and left out. Blocks are not checked
    for bytes that are not UTF-8: they may end within a character. Of a file that cannot be unpacked
    to its end, what lies before the damage comes first, and then the error.

    Raises:
        InputError: the file is no text in one of these encodings.
    """
    with open_stream(url) as stream:
        piece_bytes = num_bytes if codec_of(url) is None else _PIECE_BYTES
        blocks = _blocks(stream, num_bytes, piece_bytes=piece_bytes)
        block = next(blocks, b"")
        refuse_pointer(url, block)
        mark = next(filter(block.startswith, _MARKS), None)
        if mark is None:
            _refuse_binary(url, block[:_SNIFFED_BYTES])
            block = block.removeprefix(codecs.BOM_UTF8)
            yield from filter(None, chain([block], blocks))
            return
        decoder = codecs.getincrementaldecoder(_MARKS[mark])(errors="replace")
        for encoded in chain([block.removeprefix(mark)], blocks):
            yield decoder.decode(encoded).encode()
        yield decoder.decode(b"", final=True).encode()


def _blocks(stream: Any, num_bytes: int, *, piece_bytes: int) -> Iterator[bytes]:
    """Yield what a stream holds, `num_bytes` at a time, read piece by piece."""
    pieces: list[bytes] = []
    left = num_bytes
    try:
        while piece := bytes(stream.read(min(piece_bytes, left))):
            pieces.append(piece)
            left -= len(piece)
            if not left:
                yield b"".join(pieces)
                pieces, left = [], num_bytes
    except (pa.ArrowException, OSError, EOFError, zlib.error):
        yield b"".join(pieces)
        raise
    if pieces:
        yield b"".join(pieces)


def longer_than_allowed(url: str, line: int) -> InputError:
    """Return the error of a row that is longer than a block."""
    return InputError(
        f"{url}: the row that begins on line {line:,} is longer than {BLOCK_BYTES:,} bytes",
        hint="see that the file has the format that its ending says; lines end with \\n, "
        "\\r\\n or \\r",
    )


def as_utf8(block: bytes) -> bytes:
    """Return a block of whole lines with each byte that is not UTF-8 as U+FFFD."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def _refuse_binary(url: str, head: bytes) -> None:
    if head.count(0) * 4 > len(head):
        raise InputError(
            f"{url} is no UTF-8 text: it begins with {head[:8].hex(' ')}",
            hint="save it as UTF-8; UTF-16 and UTF-32 are read where the file begins with their "
            "byte order mark",
        )
