"""The chunks of a PNG: its size from the first one, and the file without what is not the image.

Pillow gives an image up over a text of 2 MB, a profile of that length, or a damaged comment, and
reads all of them before it tells a size.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SEEN = (b"tRNS", b"iCCP", b"eXIf")
"""The other chunks that change what is to be seen."""

_END = b"\0\0\0\0IEND\xae\x42\x60\x82"

_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""Of an interlaced image: the first column and row, and the steps to the next."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By color type."""

_PIECE_BYTES = 1 << 20

_ZLIB_HEAD_BYTES = 2
"""Before the packed rows; behind them stands their checksum (Adler-32)."""

EXIF_BYTES = 1 << 16
"""A JPEG's limit for EXIF. Tags may share bytes, and each is copied when they are read."""

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
    parts, kept_from, num_colors = list[bytes](), 0, 0
    seen = set[bytes]()
    for start, end in _chunks(content):
        kind = content[start + 4 : start + 8]
        if kind == b"PLTE":
            num_colors = (end - start - 12) // 3
        # Of each kind the first whole one counts: thousands of profiles take minutes to unpack.
        is_another = kind in seen
        if kind in _SEEN and not is_another and _is_as_written(content, start, end):
            seen.add(kind)
        if is_another or not _belongs(content, start, end, num_colors):
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


def has_all_rows(content: bytes, image: Image.Image) -> bool:
    """Tell whether a PNG has data for all rows of the image that Pillow decoded from it.

    Where packed data end early, in good order, Pillow leaves the other rows zero and says nothing.
    So the data are unpacked a second time where the row that comes last in them is zero, or where
    it may have data of another pass alone.
    """
    header = read_header(content)
    if header is None:
        return True
    is_interlaced = content[28] == 1
    width_px, height_px = image.size
    last = height_px - 1
    if is_interlaced and last % 2 == 0:
        last -= 1  # the seventh pass has the odd rows
    if last >= 0 and image.crop((0, last, width_px, last + 1)).getbbox(alpha_only=False):
        return True
    needed = _num_bytes(header, is_interlaced=is_interlaced)
    return _num_unpacked(content, needed) >= needed


def _num_bytes(header: Header, *, is_interlaced: bool) -> int:
    """Return the length of a PNG's unpacked rows, with a byte for each row's filter."""
    bits = header.bits * _CHANNELS.get(header.color_type, 0)
    total = 0
    for left, top, across, down in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        columns = -(-(header.width_px - left) // across)
        rows = -(-(header.height_px - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _num_unpacked(content: bytes, needed: int) -> int:
    """Return how many bytes a PNG's pixels have unpacked; no more are unpacked than needed.

    A decoder does not look further either: a broken checksum may follow.
    """
    unpacking, total = zlib.decompressobj(), 0
    for data in _packed(content):
        packed = data
        while packed and total < needed:
            try:
                total += len(unpacking.decompress(packed, min(_PIECE_BYTES, needed - total)))
            except zlib.error:
                return total
            packed = unpacking.unconsumed_tail
    return total


def _packed(content: bytes) -> Iterator[bytes]:
    """Yield what the chunks of a PNG's pixels hold."""
    for start, end in _chunks(content):
        if content[start + 4 : start + 8] == b"IDAT":
            yield content[start + 8 : end - 4]


def with_checksum(content: bytes) -> bytes | None:
    """Return a PNG with the checksum of its packed rows, if only that was wrong; else None.

    Pillow gives such an image up. The checksums of its chunks say that it is as it was written.
    """
    header = read_header(content)
    chunks = list(_chunks(content))
    pixels = [each for each in chunks if content[each[0] + 4 : each[0] + 8] == b"IDAT"]
    if header is None or not all(_is_as_written(content, *each) for each in pixels):
        return None
    needed = _num_bytes(header, is_interlaced=content[28] == 1)
    packed = b"".join(_packed(content))
    unpacking = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # which knows no checksum
    rest, total, checksum = packed[_ZLIB_HEAD_BYTES:], 0, 1
    while not unpacking.eof:
        try:
            piece = unpacking.decompress(rest, _PIECE_BYTES)
        except zlib.error:
            return None
        rest, total = unpacking.unconsumed_tail, total + len(piece)
        checksum = zlib.adler32(piece, checksum)
        if total > needed or not (piece or rest or unpacking.eof):
            return None
    if total < needed:
        return None
    end = len(packed) - len(unpacking.unused_data)
    data = b"IDAT" + packed[:end] + checksum.to_bytes(4, "big")
    others = [content[start:end] for start, end in chunks]
    before = [chunk for chunk in others if chunk[4:8] not in (b"IDAT", b"IEND")]
    whole = (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    return b"".join([_SIGNATURE, *before, whole, _END])


def _belongs(content: bytes, start: int, end: int, num_colors: int) -> bool:
    kind = content[start + 4 : start + 8]
    if kind in _CRITICAL:
        return True
    if kind not in _SEEN:
        return False
    if not _is_as_written(content, start, end):
        return False
    match kind:
        case b"tRNS":
            return _is_transparency(end - start - 12, content[25], num_colors)
        case b"iCCP":
            return _is_small_profile(content[start + 8 : end - 4])
        case _:
            return end - start <= EXIF_BYTES


def _is_as_written(content: bytes, start: int, end: int) -> bool:
    """Tell whether a chunk's checksum is that of its content."""
    checksum = int.from_bytes(content[end - 4 : end], "big")
    return zlib.crc32(content[start + 4 : end - 4]) == checksum


def _is_transparency(length: int, color_type: int, num_colors: int) -> bool:
    """Tell whether a transparency of a length can be one, as libpng does, which ignores others."""
    if color_type == 3:
        return 0 < length <= num_colors
    return length == {0: 2, 2: 6}.get(color_type)


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
