"""Archives in tests: records as crawlers and Common Crawl write them, byte by byte."""

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import zstandard

PAGE = "http://site.example/a/index.html"


def record(
    block: bytes,
    *,
    kind: str = "response",
    url: str = PAGE,
    content_type: str = "application/http; msgtype=response",
    more: str = "",
    length: int | None = None,
) -> bytes:
    """Return a WARC record; `length` is what it says of itself, where that is a lie."""
    length = len(block) if length is None else length
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{len(block):032d}>\r\n"
        f"WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: {content_type}\r\n{more}Content-Length: {length}\r\n\r\n"
    )
    return header.encode() + block + b"\r\n\r\n"


def answer(body: bytes, *headers: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    """Return an HTTP answer; an empty `kind` leaves out the content type."""
    typed = [f"Content-Type: {kind}"] if kind else []
    lines = [f"HTTP/1.1 {status}", *typed, *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def page(
    html: str, *headers: str, url: str = PAGE, more: str = "", length: int | None = None
) -> bytes:
    """Return the record of a page."""
    return record(answer(html.encode(), *headers), url=url, more=more, length=length)


def in_small_letters(one: bytes) -> bytes:
    """Return a record whose header has its names in lower case."""
    head, end, block = one.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    parts = [field.partition(b":") for field in fields]
    return b"\r\n".join([first, *(name.lower() + b":" + value for name, _, value in parts)]) + (
        end + block
    )


def gz(*records: bytes) -> bytes:
    """Return records in a member of gzip each."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)


def zst(*records: bytes) -> bytes:
    """Return records in a frame of Zstandard each."""
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    return b"".join(pack(one) for one in records)


def broken(member: bytes) -> bytes:
    """Return a member whose middle is lost."""
    middle = len(member) // 2
    return member[: middle - 8] + bytes(16) + member[middle + 8 :]


def wat(
    links: Sequence[Mapping[str, str]] = (),
    *,
    metas: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, Any] | None = None,
    url: str = PAGE,
    kind: str = "response",
    status: str = "200",
    base: str = "",
    html: bool = True,
    header: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
) -> bytes:
    """Return the record of a WAT that tells of a record of a WARC."""
    head: dict[str, Any] = {"Title": "a page"}
    if metas:
        head["Metas"] = list(metas)
    if base:
        head["Base"] = base
    response: dict[str, Any] = {
        "Headers": {"Content-Type": "text/html"} if headers is None else headers,
        "Response-Message": {"Status": status, "Version": "HTTP/1.1", "Reason": "OK"},
        "Entity-Length": "99",
    }
    if html:
        response["HTML-Metadata"] = {"Head": head, "Links": list(links)}
    document = {
        "Container": {"Filename": "x.warc.gz", "Offset": "1234", "Compressed": True}
        if container is None
        else container,
        "Envelope": {
            "Format": "WARC",
            "WARC-Header-Length": "500",
            "WARC-Header-Metadata": {"WARC-Type": kind, "WARC-Target-URI": url, **(header or {})},
            "Payload-Metadata": {
                "Actual-Content-Type": "application/http; msgtype=response",
                "HTTP-Response-Metadata" if kind == "response" else "Other": response,
            },
        },
    }
    block = json.dumps(document).encode()
    return record(block, kind="metadata", url=url, content_type="application/json")


class Trickle(io.BytesIO):
    """Bytes that come in uneven pieces, as from a network."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = 1 + self.tell() % 8191
        return super().read(piece if size is None or size < 0 else min(size, piece))
