"""What a file is, by its first bytes: a format that is decoded, another image, or no image."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

SIGNATURE_BYTES = 512
"""No more than these first bytes are looked at."""


class Kind(StrEnum):
    """What is done with a file of a format."""

    DECODED = "decoded"
    UNDECODED = "undecoded"
    """An image that no decoder here reads."""

    NO_IMAGE = "no_image"


@dataclass(frozen=True, slots=True)
class Format:
    """A file format."""

    name: str
    """For people."""

    kind: Kind
    pillow: str = ""
    """Pillow's name of it, where it is decoded."""


JPEG = Format("JPEG", Kind.DECODED, "JPEG")
PNG = Format("PNG", Kind.DECODED, "PNG")
GIF = Format("GIF", Kind.DECODED, "GIF")
WEBP = Format("WebP", Kind.DECODED, "WEBP")
BMP = Format("BMP", Kind.DECODED, "BMP")
TIFF = Format("TIFF", Kind.DECODED, "TIFF")
AVIF = Format("AVIF", Kind.DECODED, "AVIF")


def format_of(first_bytes: bytes) -> Format | None:
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


def _undecoded(name: str) -> Format:
    return Format(name, Kind.UNDECODED)


def _no_image(name: str) -> Format:
    return Format(name, Kind.NO_IMAGE)


_PREFIXES: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    *((begins, TIFF) for begins in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"\xff\x0a", _undecoded("JPEG XL")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _undecoded("JPEG XL")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", _undecoded("JPEG 2000")),
    (b"\xff\x4f\xff\x51", _undecoded("JPEG 2000")),
    (b"\0\0\1\0", _undecoded("ICO")),
    (b"\0\0\2\0", _undecoded("CUR")),
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
    (b"OggS", _no_image("Ogg")),
    (b"ID3", _no_image("MP3")),
)

_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""The lengths that the second header of a BMP can have: two letters alone also begin texts."""

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), _undecoded("HEIC")),
    **dict.fromkeys((b"mif1", b"msf1"), _undecoded("HEIF")),
    b"crx ": _undecoded("Canon raw"),
    b"qt  ": _no_image("QuickTime video"),
}
"""By brand of an ISO base media file. Any other brand is a video's."""


def _bmp(first: bytes) -> Format | None:
    second_header = int.from_bytes(first[14:18], "little")
    return BMP if first[:2] == b"BM" and second_header in _BMP_HEADERS else None


def _riff(first: bytes) -> Format | None:
    if first[:4] != b"RIFF":
        return None
    return {
        b"WEBP": WEBP,
        b"AVI ": _no_image("AVI video"),
        b"WAVE": _no_image("WAVE sound"),
    }.get(first[8:12])


def _iso_media(first: bytes) -> Format | None:
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


def _emf(first: bytes) -> Format | None:
    is_emf = first[:4] == b"\1\0\0\0" and first[40:44] == b" EMF"
    return _undecoded("EMF") if is_emf else None


def _text(first: bytes) -> Format | None:
    """Tell what a text is: a page, SVG behind a prolog and comments, JSON."""
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b'{"', b'[{"')):
        return _no_image("JSON")
    if not text.startswith(b"<"):
        return None
    if b"<html" in text or b"<!doctype html" in text:
        return _no_image("HTML")
    if b"<svg" in text or b"<!doctype svg" in text:
        return _undecoded("SVG")
    return _no_image("XML") if text.startswith(b"<?xml") else None


_TESTS: tuple[Callable[[bytes], Format | None], ...] = (_bmp, _riff, _iso_media, _emf, _text)
