"""HTTP responses as archives keep them: the header, and the body without its encodings."""

import re
from collections.abc import Iterator

from openalign.ingest.web.answers import Head
from openalign.ingest.web.transfers.encodings import Decoder, EncodingError, decoders_for

MAX_HEADER_BYTES = 64 << 10

_HEADER = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)[^\n]*\n((?:(?!\r?\n)[^\n]*+\n)*)\r?\n")
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*((?:[^\n]++|\n[ \t])*)\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_PIECE_BYTES = 64 << 10
_SNIFFED_BYTES = 1445
_NO_TEXT = re.compile(rb"(?!\xff\xfe|\xfe\xff)[^\0-\x08\x0b\x0e-\x1a\x1c-\x1f]*+.", re.DOTALL)
"""What begins so holds bytes of no text, as WHATWG MIME Sniffing tells them."""


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
    named = [value for name, value in head.headers if name == "content-encoding"]
    for decoder in decoders_for(named):
        if body.lstrip()[:1] != b"<":
            body, is_part = _decoded(decoder, body, max_bytes + 1)
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


def _decoded(decoder: Decoder, body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """Decode as far as possible; a body that breaks off is cut, one that gives nothing an error."""
    content = bytearray()
    is_broken = False
    try:
        for piece in _pieces(decoder, body):
            content += piece
            if len(content) >= max_bytes:
                break
    except EncodingError:
        is_broken = True
    is_unchanged = body.startswith(content) if content else not decoder.is_complete
    if is_unchanged and _NO_TEXT.match(body, 0, _SNIFFED_BYTES):
        raise UndecodedBodyError("it is neither text nor what its header says")
    return bytes(content[:max_bytes]), is_broken or not decoder.is_complete


def _pieces(decoder: Decoder, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield from decoder.feed(body[start : start + _PIECE_BYTES])
    yield from decoder.end()
