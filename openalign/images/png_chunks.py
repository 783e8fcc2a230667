"""The chunks of a PNG: its size from the first one, and the file without what is not the image.

Pillow gives an image up over a text of 2 MB, a profile of that length, or a damaged comment, and
reads all of them before it tells a size.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SEEN = (b"tRNS", b"iCCP", b"eXIf")
"""The other chunks that change what is to be seen."""

_PROFILE_BYTES = 1 << 20
"""Pillow's limit for an unpacked color profile. A longer one is ignored, as a broken one is."""


class Header(NamedTuple):
    """What the first chunk says."""

    width_px: int
    height_px: int
    bits: int
    """Of a sample."""

    color_type: int
    """0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha."""


def read_header(first_bytes: bytes) -> Header | None:
    """Return what the first chunk says; None if it is not there in full, damaged or another."""
    chunk = first_bytes[8:33]
    whole = len(chunk) == 25 and chunk[:8] == b"\0\0\0\rIHDR"
    if not whole or zlib.crc32(chunk[4:21]) != int.from_bytes(chunk[21:], "big"):
        return None
    width_px, height_px = (int.from_bytes(chunk[at : at + 4], "big") for at in (8, 12))
    return Header(width_px, height_px, chunk[16], chunk[17])


def without_metadata(content: bytes) -> bytes:
    """Return a PNG without chunks that do not change its image, or that are damaged or too large.

    Of an animation the image before it stays, which is its first frame or stands for it. Critical
    chunks stay as they are: a decoder finds their damage.
    """
    parts, kept_from = list[bytes](), 0
    for start, end in _chunks(content):
        if not _belongs(content, start, end):
            parts.append(content[kept_from:start])
            kept_from = end
    return b"".join([*parts, content[kept_from:]]) if parts else content


def _chunks(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each chunk begins and ends; the last one may be cut off."""
    start = len(_SIGNATURE)
    while start + 8 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        yield start, min(end, len(content))
        start = end


def _belongs(content: bytes, start: int, end: int) -> bool:
    kind = content[start + 4 : start + 8]
    if kind in _CRITICAL:
        return True
    if kind not in _SEEN:
        return False
    checksum = int.from_bytes(content[end - 4 : end], "big")
    if zlib.crc32(content[start + 4 : end - 4]) != checksum:
        return False
    return kind != b"iCCP" or _is_small_profile(content[start + 8 : end - 4])


def _is_small_profile(data: bytes) -> bool:
    """Tell whether a profile chunk's content, a name and packed bytes, can be unpacked in full."""
    name, _, packed = data.partition(b"\0")
    if not name or packed[:1] != b"\0":
        return False
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed[1:], _PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof
