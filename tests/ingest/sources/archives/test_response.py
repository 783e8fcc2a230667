"""HTTP answers in archives: headers in every spelling, bodies in every encoding."""

import gzip
import random
import zlib

import pytest
import zstandard

from openalign.ingest.sources.archives.response import (
    UndecodedBodyError,
    decoded_body,
    parse_header,
)
from openalign.ingest.web.answers import Head

URL = "http://site.example/"
HTML = b"<p>" + b"cat " * 1000
BROTLI_HTML = bytes.fromhex("1ba20ff88d94a9eb53f38cc1d149109fb0b82d0068750040f900")
"""HTML as Google's encoder packs it."""


def head_of(block: bytes) -> Head:
    parsed = parse_header(block, URL)
    assert parsed is not None
    return parsed[0]


def decode(body: bytes, *, max_bytes: int = 10_000, **fields: str) -> tuple[bytes, bool]:
    headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
    head = Head(url=URL, status=200, headers=headers)
    return decoded_body(head, body, max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("block", "status", "headers"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, [("a", "b")], id="usual"),
        pytest.param(b"HTTP/1.0 404\nA: b\n\n", 404, [("a", "b")], id="short line ends"),
        pytest.param(b"HTTP/2 200 \r\n\r\n", 200, [], id="no field"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX-Robots-Tag: noai\r\nx-robots-tag:  none \r\n\r\n",
            200,
            [("x-robots-tag", "noai"), ("x-robots-tag", "none")],
            id="twice",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", 200, [("a", "b c")], id="folded"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n???\r\nA : \xe9\r\n\r\n", 200, [("a", "\xe9")], id="junk"
        ),
    ],
)
def test_a_header_is_parsed(block: bytes, status: int, headers: list[tuple[str, str]]) -> None:
    parsed = parse_header(block + b"body", URL)

    assert parsed is not None
    assert (parsed[0].status, parsed[0].headers) == (status, headers)
    assert (block + b"body")[parsed[1] :] == b"body"


def test_the_body_begins_behind_the_first_empty_line() -> None:
    for header in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"):
        parsed = parse_header(header + b"\r\n<p>\n\n<p>", URL)
        assert parsed is not None
        assert parsed[1] == len(header)


@pytest.mark.parametrize(
    "block", [b"", b"<html>", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"HTTP/1.1 OK\r\n\r\n"]
)
def test_what_begins_otherwise_is_no_answer(block: bytes) -> None:
    assert parse_header(block, URL) is None


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", gzip.compress(HTML), id="gzip"),
        pytest.param("x-gzip", gzip.compress(HTML), id="its old name"),
        pytest.param("deflate", zlib.compress(HTML), id="deflate with zlib's header"),
        pytest.param("deflate", raw_deflate(HTML), id="deflate without"),
        pytest.param("br", BROTLI_HTML, id="brotli"),
        pytest.param("zstd", zstandard.compress(HTML), id="zstandard"),
        pytest.param("br, gzip", gzip.compress(BROTLI_HTML), id="two"),
        pytest.param(
            "gzip", gzip.compress(HTML[:400]) + gzip.compress(HTML[400:]), id="gzip, two members"
        ),
        pytest.param("gzip", gzip.compress(HTML) + bytes(9), id="gzip with padding"),
        pytest.param("gzip", gzip.compress(HTML)[:-8] + b"x" * 8, id="gzip, a wrong checksum"),
        pytest.param(
            "zstd", zstandard.compress(HTML[:400]) + zstandard.compress(HTML[400:]), id="two frames"
        ),
        pytest.param('"gzip"', gzip.compress(HTML), id="in quotes"),
        pytest.param("'GZIP'; q=1", gzip.compress(HTML), id="with a parameter"),
        pytest.param("UTF-8, gzip", gzip.compress(HTML), id="among unknown names"),
        pytest.param("identity", HTML, id="none"),
        pytest.param("gzip", HTML, id="undone before"),
        pytest.param("br", HTML, id="brotli undone before"),
        pytest.param("zstd", b"  cat", id="not what it says"),
    ],
)
def test_a_content_encoding_is_undone(encoding: str, body: bytes) -> None:
    expected = body if encoding == "zstd" and body == b"  cat" else HTML

    assert decode(body, content_encoding=encoding) == (expected, False)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(HTML)), ("deflate", zlib.compress(HTML)), ("br", BROTLI_HTML)],
    ids=["gzip", "deflate", "brotli"],
)
def test_no_more_is_decoded_than_is_read(encoding: str, body: bytes) -> None:
    content, _ = decode(body, max_bytes=1000, content_encoding=encoding)

    assert content == HTML[:1001]


def test_a_body_that_ends_within_its_encoding_is_cut() -> None:
    noise = random.Random(1).randbytes(5000)
    body = gzip.compress(b"<p>" + noise)[:-600]

    content, is_cut = decode(body, content_encoding="gzip")

    assert is_cut
    assert (b"<p>" + noise).startswith(content)
    assert len(content) > 100


@pytest.mark.parametrize("kept", [500, -1])
def test_a_body_that_ends_within_its_second_member_is_cut(kept: int) -> None:
    noise = random.Random(1).randbytes(5000)
    body = gzip.compress(HTML) + gzip.compress(noise)[:kept]

    content, is_cut = decode(body, content_encoding="gzip")

    assert is_cut
    assert content.startswith(HTML + noise[:100])


def test_a_body_that_breaks_within_its_encoding_gives_what_stands_before() -> None:
    content, is_cut = decode(gzip.compress(HTML) + b"\x1f\x8b" + bytes(99), content_encoding="gzip")

    assert (content, is_cut) == (HTML, True)


def test_each_header_that_names_an_encoding_counts() -> None:
    fields = [("content-encoding", "br"), ("content-encoding", "gzip")]
    head = Head(url=URL, status=200, headers=fields)

    assert decoded_body(head, gzip.compress(BROTLI_HTML), max_bytes=9999) == (HTML, False)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xff\0\xfd" * 40, id="noise"),
        pytest.param(gzip.compress(HTML)[:12] + b"\xff" * 40, id="a beginning of gzip alone"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_an_error(encoding: str, body: bytes) -> None:
    with pytest.raises(UndecodedBodyError):
        decode(body, content_encoding=encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"c", id="a character"),
        pytest.param("猫 <p>".encode(), id="text before HTML"),
        pytest.param("猫 <p>".encode("iso2022_jp"), id="escapes"),
        pytest.param("<p>cat".encode("utf-16"), id="UTF-16"),
    ],
)
def test_text_that_is_not_encoded_is_taken_as_it_is(encoding: str, body: bytes) -> None:
    assert decode(body, content_encoding=encoding) == (body, False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"3\r\n<p>\r\n4\r\n cat\r\n0\r\n\r\n", (b"<p> cat", False), id="whole"),
        pytest.param(b"3;a=b\r\n<p>\r\n00\r\n\r\n", (b"<p>", False), id="extension"),
        pytest.param(b"3\n<p>\n0\n\n", (b"<p>", False), id="short line ends"),
        pytest.param(b"3\r\n<p>\r\n9\r\n ca", (b"<p> ca", True), id="ends within a chunk"),
        pytest.param(b"3\r\n<p>\r\n", (b"<p>", True), id="ends between chunks"),
        pytest.param(b"<p> cat", (b"<p> cat", False), id="undone before"),
    ],
)
def test_chunks_are_joined(body: bytes, expected: tuple[bytes, bool]) -> None:
    assert decode(body, transfer_encoding="chunked") == expected


def test_chunks_are_joined_before_the_content_is_decoded() -> None:
    packed = gzip.compress(HTML)
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)

    assert decode(chunk, transfer_encoding="chunked", content_encoding="gzip") == (HTML, False)
    assert head_of(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x\r\n\r\n").charset == "x"
