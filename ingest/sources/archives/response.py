"""HTTP responses as archives keep them: the header, and the body without its encodings."""

import re
import zlib
from collections.abc import Callable
from io import BytesIO

from fastwarc.stream_io import (  # pyright: ignore[reportMissingModuleSource]  # in Rust
    BrotliReader,
    ZstdReader,
)

from openalign.ingest.web.answers import Head

MAX_HEADER_BYTES = 64 << 10

_HEADER = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)[^\n]*\n((?:(?!\r?\n)[^\n]*+\n)*)\r?\n")
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*((?:[^\n]++|\n[ \t])*)\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")


class UndecodedBodyError(ValueError):
    """The content encoding of a body cannot be undone."""


def parse_header(block: bytes, url: str) -> tuple[Head, int] | None:
    """Return the header of a response and where its body begins; None if it begins otherwise.

    A line that is no field is passed over.
    """
    found = _HEADER.match(block, 0, MAX_HEADER_BYTES)
    if found is None:
        return None
    headers = [
        (name.lower(), " ".join(value.split()))
        for name, value in _FIELD.findall(found[2].decode("latin-1"))
    ]
    return Head(url=url, status=int(found[1]), headers=headers), found.end()


def decoded_body(head: Head, body: bytes, *, max_bytes: int) -> tuple[bytes, bool]:
    """Return a body without its transfer and content encodings, and whether it is cut.

    Crawlers often undo an encoding and keep the header that names it: a body that does not look
    encoded is taken as it is. At most `max_bytes` are decoded, and one more if there are more.

    Raises:
        UndecodedBodyError: a body that looks encoded cannot be decoded.
    """
    is_cut = False
    if "chunked" in (head.header("transfer-encoding") or "").lower():
        body, is_cut = _without_chunks(body)
    for name in reversed((head.header("content-encoding") or "").lower().split(",")):
        decoder = _DECODERS.get(name.strip())
        if decoder is not None and body.lstrip()[:1] != b"<":
            body, is_part = decoder(body, max_bytes + 1)
            is_cut = is_cut or is_part
    return body, is_cut


def _without_chunks(body: bytes) -> tuple[bytes, bool]:
    """Return the chunks of a body, and whether the last one is missing."""
    pieces: list[bytes] = []
    place = 0
    while size := _CHUNK_SIZE.match(body, place):
        num_bytes = int(size[1], 16)
        if num_bytes == 0:
            return b"".join(pieces), False
        pieces.append(body[size.end() : size.end() + num_bytes])
        place = size.end() + num_bytes
        place += 2 if body[place : place + 2] == b"\r\n" else body[place : place + 1] == b"\n"
    return (b"".join(pieces), True) if pieces else (body, False)


def _inflate(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """Undo gzip or deflate, with or without zlib's own header."""
    if body[:2] == b"\x1f\x8b":
        forms = (31,)
    elif body[:1] == b"\x78":
        forms = (15, -15)
    else:
        forms = (-15,)
    for form in forms:
        unpacker = zlib.decompressobj(wbits=form)
        try:
            content = unpacker.decompress(body, max_bytes)
        except zlib.error:
            continue
        return content, not unpacker.eof
    raise UndecodedBodyError("deflate")


def _gunzip(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    return _inflate(body, max_bytes) if body[:2] == b"\x1f\x8b" else (body, False)


def _unbrotli(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    return _read(BrotliReader(BytesIO(body)), max_bytes)


def _unzstd(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    is_zstd = body[:4] == b"\x28\xb5\x2f\xfd"
    return _read(ZstdReader(BytesIO(body)), max_bytes) if is_zstd else (body, False)


def _read(reader: BrotliReader | ZstdReader, max_bytes: int) -> tuple[bytes, bool]:
    """Read as far as possible; a body that breaks off is cut, one without a beginning an error."""
    pieces: list[bytes] = []
    num_bytes = 0
    try:
        while num_bytes < max_bytes and (data := reader.read(min(65536, max_bytes - num_bytes))):
            pieces.append(data)
            num_bytes += len(data)
    except OSError as error:
        if not pieces:
            raise UndecodedBodyError(str(error)) from error
        return b"".join(pieces), True
    return b"".join(pieces), False


_DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
