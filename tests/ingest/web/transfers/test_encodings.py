"""Content encodings undone, by whole bodies and by pieces; libraries pack what is unpacked here."""

import gzip
import random
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard

from openalign.ingest.web.transfers.encodings import EncodingError, decoders_for, ended, fed

TEXT = b"An old harbour at first light. " * 5_000
NOISE = random.Random(1).randbytes(70_000)  # a body that does not shrink
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + NOISE
IMAGES = {
    "JPEG": JPEG,
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + NOISE,
    "GIF": b"GIF89a" + NOISE,
    "WebP": b"RIFF\x34\x12\0\0WEBPVP8 " + NOISE,
    "HTML": b"<!doctype html><html>" + TEXT,
    "short": b"x",
    "empty": b"",
}


PASSED_OVER = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
"""A frame of Zstandard that stands for nothing (RFC 8878 3.1.2)."""


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def frames(body: bytes, *, signed: bool = True) -> bytes:
    """Return a body as S3 takes it: each chunk behind its size, and an empty one at the end."""
    signature = b";chunk-signature=" + b"0af" * 21 + b"0" if signed else b""
    trailer = b"" if signed else b"x-amz-checksum-crc32:sOO8/Q==\r\n"
    chunks = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    packed = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), signature, chunk) for chunk in chunks)
    return packed + b"0" + signature + b"\r\n" + trailer + b"\r\n"


def decoded(encoding: str, body: bytes, *, piece_bytes: int = 10**9) -> bytes:
    decoders = decoders_for([encoding])
    content = bytearray()
    for start in range(0, len(body), piece_bytes):
        for piece in fed(decoders, body[start : start + piece_bytes]):
            assert len(piece) <= max(70_100, 131_072 * 64)
            content += piece
    for piece in ended(decoders):
        content += piece
    return bytes(content)


PACKED = [
    pytest.param("gzip", gzip.compress, id="gzip"),
    pytest.param("x-gzip", gzip.compress, id="x-gzip"),
    pytest.param("GZIP ", gzip.compress, id="in capitals"),
    pytest.param("gzip", lambda b: gzip.compress(b[:9]) + gzip.compress(b[9:]), id="two members"),
    pytest.param("gzip", lambda b: gzip.compress(b) + b"\0" * 99, id="gzip with padding"),
    pytest.param("gzip", lambda b: gzip.compress(b)[:-8] + b"x" * 8, id="gzip, a wrong checksum"),
    pytest.param("gzip", lambda b: gzip.compress(b)[:-4] + b"xxxx", id="gzip, a wrong length"),
    pytest.param("deflate", zlib.compress, id="deflate"),
    pytest.param("x-deflate", zlib.compress, id="x-deflate"),
    pytest.param("deflate", lambda b: zlib.compress(b)[:-4] + b"xxxx", id="deflate, likewise"),
    pytest.param("deflate", raw_deflate, id="deflate without a header"),
    pytest.param('"gzip"', gzip.compress, id="in quotes"),
    pytest.param("gzip; charset=utf-8", gzip.compress, id="with a parameter"),
    pytest.param("br", brotli.compress, id="brotli"),
    pytest.param("zstd", zstandard.compress, id="zstd"),
    pytest.param(
        "zstd",
        lambda b: PASSED_OVER + zstandard.compress(b[:9]) + PASSED_OVER + zstandard.compress(b[9:]),
        id="zstd, two frames and some to be passed over",
    ),
    pytest.param("zstd", lambda b: zstandard.compress(b) + b"\0" * 99, id="zstd with padding"),
    pytest.param("aws-chunked", frames, id="chunks"),
    pytest.param("aws-chunked", lambda b: frames(b, signed=False), id="chunks, unsigned"),
    pytest.param("aws-chunked,gzip", lambda b: frames(gzip.compress(b)), id="gzip in chunks"),
    pytest.param("gzip, aws-chunked", lambda b: frames(gzip.compress(b)), id="the other order"),
    pytest.param("gzip, br", lambda b: brotli.compress(gzip.compress(b)), id="gzip in brotli"),
    pytest.param("UTF-8, gzip", gzip.compress, id="gzip among unknown names"),
]


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000, 10**9])
@pytest.mark.parametrize(("encoding", "pack"), PACKED)
@pytest.mark.parametrize("content", [TEXT, JPEG], ids=["text", "image"])
def test_what_is_encoded_is_decoded(
    encoding: str, pack: Callable[[bytes], bytes], content: bytes, piece_bytes: int
) -> None:
    content = content if piece_bytes > 7 else content[:5_000]

    assert decoded(encoding, pack(content), piece_bytes=piece_bytes) == content


def test_a_list_of_thousands_of_encodings_is_undone_as_far_as_servers_go() -> None:
    once = gzip.compress(TEXT)
    five_times = once
    for _ in range(4):
        five_times = gzip.compress(five_times)
    thousands = ",".join(["gzip"] * 5_000)

    assert decoded(",".join(["gzip"] * 5), five_times) == TEXT
    assert decoded(thousands, five_times) == TEXT
    assert decoded(thousands, JPEG) == JPEG
    six_times = gzip.compress(five_times)
    assert gzip.decompress(decoded(thousands, six_times)) == TEXT
    assert len(decoders_for([thousands])) == 5


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_an_empty_body_stays_empty(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert decoded(encoding, pack(b"")) == b""


@pytest.mark.parametrize("piece_bytes", [1, 1000, 10**9])
@pytest.mark.parametrize("body", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize(
    "encoding",
    [
        *("UTF-8", "none", "", "binary", "image/jpeg", "identity"),
        *("gzip", "deflate", "br", "zstd", "aws-chunked", "aws-chunked, gzip", "gzip, br"),
    ],
)
def test_a_body_that_is_not_encoded_is_taken_as_it_stands(
    encoding: str, body: bytes, piece_bytes: int
) -> None:
    body = body if piece_bytes > 1 else body[:3_000]

    assert decoded(encoding, body, piece_bytes=piece_bytes) == body


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_a_body_that_breaks_off_gives_what_there_is(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    if encoding == "gzip, br":  # what gzip gets from brotli comes late
        return
    packed = pack(NOISE)

    content = decoded(encoding, packed[: len(packed) * 3 // 4])

    assert 10_000 < len(content) < len(NOISE)
    assert NOISE.startswith(content)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("zstd", zstandard.compress, id="zstd"),
        pytest.param("aws-chunked", frames, id="chunks"),
    ],
)
def test_a_body_that_is_damaged_behind_its_start_is_an_error(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = bytearray(pack(NOISE.hex().encode() * 2))
    middle = len(packed) // 2
    packed[middle:] = NOISE[::-1]

    with pytest.raises(EncodingError):
        decoded(encoding, bytes(packed))


@pytest.mark.parametrize("piece_bytes", [7, 1000, 10**9])
def test_a_member_with_a_wrong_checksum_must_be_the_last(piece_bytes: int) -> None:
    """Half of a body is not taken for all of it."""
    first = gzip.compress(NOISE)[:-8] + b"x" * 8

    assert decoded("gzip", first + bytes(99), piece_bytes=piece_bytes) == NOISE
    with pytest.raises(EncodingError):
        decoded("gzip", first + gzip.compress(NOISE), piece_bytes=piece_bytes)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("br", partial(brotli.compress, quality=5), id="brotli"),
        pytest.param("zstd", zstandard.compress, id="zstd"),
    ],
)
def test_a_bomb_comes_out_in_small_pieces(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    decoders = decoders_for([encoding])
    packed = pack(b"\0" * 50_000_000)
    assert len(packed) < 60_000

    first = next(piece for piece in fed(decoders, packed + b"\0" * 2000) if piece)

    assert len(first) <= 8_400_000


def test_a_short_body_that_breaks_gives_what_stands_before() -> None:
    decoders = decoders_for(["gzip"])
    assert list(fed(decoders, gzip.compress(b"cat") + b"\x1f\x8b" + bytes(9))) == []

    pieces = ended(decoders)

    assert next(pieces) == b"cat"
    with pytest.raises(EncodingError):
        list(pieces)


def test_a_body_is_complete_where_its_last_member_is() -> None:
    two = gzip.compress(NOISE) * 2

    for end, is_complete in [(len(two) // 2, True), (len(two) - 1, False), (len(two), True)]:
        [decoder] = decoders_for(["gzip"])
        assert len([*decoder.feed(two[:end]), *decoder.end()]) > 1
        assert decoder.is_complete is is_complete


def test_a_window_that_no_browser_supports_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=24, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(NOISE * 2) + packer.flush()

    assert decoded("zstd", packed) == packed
