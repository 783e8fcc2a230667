"""JPEGs that the fast decoder does not take: which of them have all their pixels.

A JPEG is whole if every block of every component is there at full precision. It may lack its end
marker, and bytes may stand before it that belong to nothing.

Each scan of a progressive JPEG goes over the whole image, and may be a few bytes long.
"""

import re
from collections.abc import Iterator
from itertools import islice

import simplejpeg

from openalign.images.headers import ImageError, ImageFault

_END = b"\xff\xd9"
_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""The end, or a marker with a length; libjpeg passes over all other codes alone.

Any number of FF may stand before a code. A pattern for all of them would try each one as the first.
"""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_NUM_COEFFICIENTS = 64

_MAX_SCANS = 100
"""libtiff's limit for JPEGs in TIFFs; encoders write about ten."""


def require_few_scans(content: bytes) -> None:
    """Refuse a JPEG of so many scans that it would keep a decoder busy for hours.

    Raises:
        ImageError: it has more than a hundred.
    """
    if content.count(_SCAN) <= _MAX_SCANS:  # what follows the image may have such bytes, too
        return
    scans = (code for code, _ in _segments(content) if code == _SCAN[1])
    if next(islice(scans, _MAX_SCANS, None), None) is not None:
        detail = f"JPEG: it has more than {_MAX_SCANS} scans"
        raise ImageError(ImageFault.DECODE_FAILURE, detail)


def with_end(content: bytes, *, inks: bool) -> bytes:
    """Return a JPEG that is whole, with the end marker that it may lack.

    `inks` says whether its colors are CMYK.

    Raises:
        ImageError: some of its pixels are missing.
    """
    if not _has_end(content):
        content += _END
    try:
        # At an eighth the pixels cost least, and all bits are read all the same.
        colors = "CMYK" if inks else "RGB"
        simplejpeg.decode_jpeg(content, colors, min_height=1, min_width=1)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise _cut_off() from error
    return content


def _has_end(content: bytes) -> bool:
    """Tell whether a JPEG has its end marker; if it has none, its scans must be complete.

    A progressive JPEG that is cut off between two scans looks whole to a decoder, only coarse.

    Raises:
        ImageError: it lacks its end marker, and scans before it.
    """
    missing: dict[int, list[bool]] = {}  # by component: coefficients without their last bit
    progressive = False
    for code, segment in _segments(content):
        if code == _END[1]:
            return True
        if code in _FRAMES and len(segment) >= 6:
            progressive = code in _PROGRESSIVE
            missing = {number: [True] * _NUM_COEFFICIENTS for number in segment[6::3]}
        elif code == _SCAN[1] and segment:
            _strike_out(segment, missing, progressive=progressive)
    if not missing or any(any(coefficients) for coefficients in missing.values()):
        raise _cut_off()
    return False


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a JPEG, each with its marker's number, up to the end marker."""
    position = 0
    while (marker := _MARKER.search(content, position)) is not None:
        code, position = marker[1][0], marker.end()
        if code == _END[1]:
            yield code, b""
            return
        length = int.from_bytes(content[position : position + 2], "big")
        segment = content[position + 2 : position + length]
        position += 2 + len(segment)
        yield code, segment


def _strike_out(scan: bytes, missing: dict[int, list[bool]], *, progressive: bool) -> None:
    """Strike out the coefficients to which a scan's header promises the last bit."""
    names_end = 1 + 2 * scan[0]
    if len(scan) < names_end + 3:
        return
    first, last, bits = scan[names_end : names_end + 3]
    if not progressive:
        first, last, bits = 0, _NUM_COEFFICIENTS - 1, 0
    if bits & 0x0F:
        return  # a bit below is still to come
    for component in scan[1:names_end:2]:
        if component in missing:
            missing[component][first : last + 1] = [False] * len(
                missing[component][first : last + 1]
            )


def _cut_off() -> ImageError:
    return ImageError(ImageFault.DECODE_FAILURE, "JPEG: it ends before its pixels do")
