"""JPEGs whose pixels count as they are decoded: told by their markers, without Pillow.

Pillow takes longer to open a small JPEG than the decoder needs for its pixels.
"""

import struct

_START = b"\xff\xd8"
_MARKER = struct.Struct(">BBH")
"""FF, the marker's number, and the length of its segment, which includes that of itself."""

_FRAME = struct.Struct(">BHHB")
"""Bits of a sample, height, width and number of components: how a frame's segment begins."""

_FRAMES = (0xC0, 0xC1, 0xC2)
"""Of Huffman codes: baseline, extended, progressive."""

_SCAN = 0xDA
_NUMBER_BYTES = 2
"""FF and the marker's number, which the length does not include."""

_HARMLESS = frozenset((0xC4, 0xDB, 0xDD, 0xFE))
"""Huffman and quantization tables, restart intervals, and comments."""

_APP0, _JFIF = 0xE0, b"JFIF\0"
_LEAST_JFIF = 16
"""The length of JFIF's segment, without a thumbnail."""

_MOST_PIXELS = 1 << 24
"""A larger image is Pillow's to judge, which knows what is too large."""


def plain_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG that is upright and in sRGB or gray as it is decoded.

    None is returned of all else: of other formats, and of a JPEG with a profile, EXIF, inks, or
    anything before its pixels that is not known to be harmless.
    """
    if not content.startswith(_START):
        return None
    size: tuple[int, int] | None = None
    position = len(_START)
    while position + _MARKER.size + _FRAME.size <= len(content):
        first, code, length = _MARKER.unpack_from(content, position)
        segment = position + _MARKER.size
        if first == _START[0] and code == _SCAN:
            return size
        if first == _START[0] and code in _FRAMES and size is None:
            size = _plain_frame(content, segment)
            if size is None:
                return None
        elif first != _START[0] or not _is_harmless(code, content, segment, length):
            return None
        position += _NUMBER_BYTES + length
    return None


def _plain_frame(content: bytes, position: int) -> tuple[int, int] | None:
    bits, height, width, count = _FRAME.unpack_from(content, position)
    is_plain = bits == 8 and count in (1, 3) and 0 < width * height <= _MOST_PIXELS
    return (width, height) if is_plain else None


def _is_harmless(code: int, content: bytes, position: int, length: int) -> bool:
    if code == _APP0:
        return length >= _LEAST_JFIF and content.startswith(_JFIF, position)
    return code in _HARMLESS
