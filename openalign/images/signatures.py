"""What a file is, by its first bytes: a format that is decoded, another image, or no image."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from openalign.files.lfs import POINTER

SIGNATURE_BYTES = 1445
"""No more than these first bytes are looked at: as many as in WHATWG's MIME Sniffing."""


class Kind(StrEnum):
    """What is done with a file of a format."""

    DECODED = "decoded"
    UNDECODED = "undecoded"
    """An image that no decoder here reads."""

    NO_IMAGE = "no_image"


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A file format."""

    name: str
    """For people."""

    kind: Kind
    pillow: str = ""
    """Pillow's name of it, where it is decoded."""


JPEG = FileFormat("JPEG", Kind.DECODED, "JPEG")
PNG = FileFormat("PNG", Kind.DECODED, "PNG")
GIF = FileFormat("GIF", Kind.DECODED, "GIF")
WEBP = FileFormat("WebP", Kind.DECODED, "WEBP")
BMP = FileFormat("BMP", Kind.DECODED, "BMP")
TIFF = FileFormat("TIFF", Kind.DECODED, "TIFF")
AVIF = FileFormat("AVIF", Kind.DECODED, "AVIF")


def format_of(first_bytes: bytes) -> FileFormat | None:
    """Return the format that a file's first bytes are those of; None if no known format begins so.

    Bytes that are too few to tell count as unknown.
    """
    first_bytes = first_bytes[:SIGNATURE_BYTES]
    for begins, found in _PREFIXES:
        if first_bytes.startswith(begins):
            return found
    for tell in _TESTS:
        if (found := tell(first_bytes)) is not None:
            return found
    return None


def _undecoded(name: str) -> FileFormat:
    return FileFormat(name, Kind.UNDECODED)


def _no_image(name: str) -> FileFormat:
    return FileFormat(name, Kind.NO_IMAGE)


_PREFIXES: tuple[tuple[bytes, FileFormat], ...] = (
    (b"\xff\xd8\xff\xf7", _undecoded("JPEG-LS")),
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    *((begins, TIFF) for begins in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"\xff\x0a", _undecoded("JPEG XL")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _undecoded("JPEG XL")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", _undecoded("JPEG 2000")),
    (b"\xff\x4f\xff\x51", _undecoded("JPEG 2000")),
    (b"IIRO", _undecoded("Olympus raw")),
    (b"IIU\0", _undecoded("Panasonic raw")),
    (b"FUJIFILMCCD-RAW", _undecoded("Fujifilm raw")),
    (b"\x01\xda\0\1", _undecoded("SGI")),
    (b"\x01\xda\1\1", _undecoded("SGI")),
    (b"/* XPM */", _undecoded("XPM")),
    (b"SIMPLE  =" + b" " * 20 + b"T", _undecoded("FITS")),
    (b"8BPS", _undecoded("PSD")),
    (b"gimp xcf", _undecoded("XCF")),
    (b"v/1\1", _undecoded("OpenEXR")),
    (b"#?RADIANCE", _undecoded("Radiance HDR")),
    (b"DDS ", _undecoded("DDS")),
    (b"qoif", _undecoded("QOI")),
    (b"FLIF", _undecoded("FLIF")),
    (b"BPG\xfb", _undecoded("BPG")),
    (b"AT&TFORM", _undecoded("DjVu")),
    (b"\xd7\xcd\xc6\x9a", _undecoded("WMF")),
    (b"II\xbc\1", _undecoded("JPEG XR")),
    (b"%!PS", _undecoded("PostScript")),
    (b"\xc5\xd0\xd3\xc6", _undecoded("PostScript")),
    (b"%PDF-", _no_image("PDF")),
    (b"\x1aE\xdf\xa3", _no_image("WebM or Matroska video")),
    (b"FLV\1", _no_image("Flash video")),
    (b"\x1f\x8b", _no_image("gzip")),
    (b"\x28\xb5\x2f\xfd", _no_image("Zstandard")),
    (b"PK\3\4", _no_image("ZIP")),
    (b"Rar!\x1a\7", _no_image("RAR")),
    (b"7z\xbc\xaf\x27\x1c", _no_image("7-Zip")),
    (b"fLaC", _no_image("FLAC")),
    (b"\0\0\1\xba", _no_image("MPEG video")),
    (b"\0\0\1\xb3", _no_image("MPEG video")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _no_image("Windows Media")),
    (b"wOFF", _no_image("a font")),
    (b"wOF2", _no_image("a font")),
    (b"OggS", _no_image("Ogg")),
    (b"ID3", _no_image("MP3")),
    (POINTER, _no_image("a Git LFS pointer")),
)

_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""The lengths that the second header of a BMP can have: two letters alone also begin texts."""

_BETWEEN = rb"(?:\s|#[^\r\n]*[\r\n])+"
"""What stands between two numbers of a PNM: white space and comments."""

_NUMBER = _BETWEEN + rb"\d+"

_PATTERNS = (
    (re.compile(rb"P[14]" + 2 * _NUMBER + rb"[\s#]"), _undecoded("PNM")),
    (re.compile(rb"P[2356]" + 3 * _NUMBER + rb"[\s#]"), _undecoded("PNM")),
    (re.compile(rb"P7\nWIDTH "), _undecoded("PNM")),
    (re.compile(rb"icns[\0-\3]"), _undecoded("ICNS")),
    (re.compile(rb"[CF]WS[\1-\x3f](?s:.{3})[\0-\3]"), _no_image("Flash")),
)
"""Of formats whose magic alone also begins texts.

A PNM has its size there, and some their largest value. The others have their length, which is taken
up to 64 MB: the letters of a text would be a larger one.
"""

_JSON = re.compile(rb'(\[\s*)?\{\s*"|\[\s*["\[]|\{\s*\}')
_TAG = re.compile(
    rb"<(?:head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|link|center|form|"
    rb"img|pre|span)[\s/>]"
)
"""What a page begins with, after WHATWG's MIME Sniffing, and a few tags more."""

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), _undecoded("HEIC")),
    **dict.fromkeys((b"mif1", b"msf1"), _undecoded("HEIF")),
    b"crx ": _undecoded("Canon raw"),
    b"qt  ": _no_image("QuickTime video"),
}
"""By brand of an ISO base media file. Any other brand is a video's."""


def _bmp(first: bytes) -> FileFormat | None:
    second_header = int.from_bytes(first[14:18], "little")
    return BMP if first[:2] == b"BM" and second_header in _BMP_HEADERS else None


def _riff(first: bytes) -> FileFormat | None:
    if first[:4] != b"RIFF":
        return None
    return {
        b"WEBP": WEBP,
        b"AVI ": _no_image("AVI video"),
        b"WAVE": _no_image("WAVE sound"),
    }.get(first[8:12])


def _iso_media(first: bytes) -> FileFormat | None:
    """Tell the format by the brands of a `ftyp` box: the major one, then those it can be read as.

    `mif1` stands for any image in a file of this kind, so a brand that says more is looked for.
    """
    if first[4:8] != b"ftyp" or len(first) < 12:
        return None
    end = min(int.from_bytes(first[:4], "big"), len(first))
    brands = [first[8:12], *(first[at : at + 4] for at in range(16, end - 3, 4))]
    found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    named = [each for each in found if each.name != "HEIF"]
    return next(iter(named or found), _no_image("MP4 video"))


def _emf(first: bytes) -> FileFormat | None:
    is_emf = first[:4] == b"\1\0\0\0" and first[40:44] == b" EMF"
    return _undecoded("EMF") if is_emf else None


def _icon(first: bytes) -> FileFormat | None:
    """Tell an icon, which has at least one image, from a TGA, which has no palette there."""
    kind = {b"\0\0\1\0": "ICO", b"\0\0\2\0": "CUR"}.get(first[:4])
    return _undecoded(kind) if kind and first[4:6] not in (b"", b"\0\0") else None


def _tga(first: bytes) -> FileFormat | None:
    """Tell a TGA of colors or grays, which has no magic, by all that its header must be."""
    is_tga = first[:2] == b"\0\0" and first[2:3] in (b"\2", b"\3", b"\n", b"\x0b")
    is_tga &= first[3:8] == bytes(5) and first[16:17] in (
        b"\x08",
        b"\x0f",
        b"\x10",
        b"\x18",
        b"\x20",
    )
    return _undecoded("TGA") if is_tga and b"\0\0" not in (first[12:14], first[14:16]) else None


def _pattern(first: bytes) -> FileFormat | None:
    return next((found for pattern, found in _PATTERNS if pattern.match(first)), None)


def _text(first: bytes) -> FileFormat | None:
    """Tell what a text is: a page, SVG behind a prolog and comments, JSON."""
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = first.decode("utf-16", "replace").lstrip().lower().encode()
    if _JSON.match(text):
        return _no_image("JSON")
    if not text.startswith(b"<"):
        return None
    if b"<html" in text or b"<!doctype html" in text or _TAG.match(text):
        return _no_image("HTML")
    if b"<svg" in text or b"<!doctype svg" in text:
        return _undecoded("SVG")
    if text.startswith(b"<?xml"):
        return _no_image("XML")
    return _no_image("HTML") if text.startswith(b"<!--") else None


_TESTS: tuple[Callable[[bytes], FileFormat | None], ...] = (
    *(_bmp, _riff, _iso_media, _emf, _icon, _tga, _pattern, _text),
)
