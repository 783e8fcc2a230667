"""The files that the hostile web serves as images: good ones, broken ones, bombs, other formats."""

import gzip
import io
import struct
import zlib
from functools import cache
from typing import Any

from PIL import Image

_SIZE = (240, 220)
"""More than the 200 pixels that `select` asks for by default."""

_BOMB_BYTES = 64_000_000
"""More than `fetch.max_bytes` is by default."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@cache
def good(kind: str = "JPEG", size: tuple[int, int] = _SIZE) -> bytes:
    """Return an image file in a format that Pillow writes."""
    gradient = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), gradient))
    return _encoded(image, kind)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


@cache
def cut_jpeg() -> bytes:
    """Return the first half of a JPEG."""
    return good()[: len(good()) // 2]


@cache
def turned_jpeg() -> bytes:
    """Return a JPEG that EXIF says lies on its side."""
    tags = Image.Exif()
    tags[0x0112] = 6
    return _encoded(Image.open(io.BytesIO(good())), "JPEG", exif=tags.tobytes())


@cache
def webp_of_false_length() -> bytes:
    """Return a good WebP that says it is longer than it is."""
    whole = good("WEBP")
    return whole[:4] + struct.pack("<I", len(whole) + 5000) + whole[8:]


@cache
def jpeg_of_many_scans() -> bytes:
    """Return a progressive JPEG whose last scan comes a thousand times."""
    whole = _encoded(Image.open(io.BytesIO(good())), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * 1000 + whole[-2:]


@cache
def png_that_ends_early() -> bytes:
    """Return a PNG whose data, in good order, are those of half its rows."""
    width_px, height_px = _SIZE
    rows = (b"\0" + b"\x80" * 3 * width_px) * (height_px // 2)
    return _png((_chunk(b"IHDR", _header(*_SIZE)), _chunk(b"IDAT", zlib.compress(rows))))


def damaged_png() -> bytes:
    """Return a PNG whose pixels are no compressed data."""
    return _png((_chunk(b"IHDR", _header(*_SIZE)), _chunk(b"IDAT", b"not packed" * 50)))


def png_of_many_pixels() -> bytes:
    """Return a PNG of a few bytes that says it has 2.5 billion pixels."""
    pixels = _chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
    return _png((_chunk(b"IHDR", _header(50_000, 50_000)), pixels))


@cache
def png_with_long_text() -> bytes:
    """Return a good PNG whose text unpacks to 2 MB."""
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b" " * 2_000_000))
    whole = good("PNG")
    behind_header = len(PNG_MAGIC) + 25
    return whole[:behind_header] + text + whole[behind_header:]


def start_of_png() -> bytes:
    """Return the beginning of a good PNG, as far as its size."""
    return good("PNG")[: len(PNG_MAGIC) + 25]


@cache
def gzip_bomb() -> bytes:
    """Return few bytes that unpack to the beginning of a PNG and 64 MB of zeros."""
    return gzip.compress(start_of_png() + b"\0" * _BOMB_BYTES, mtime=0)


def gzip_broken_inside() -> bytes:
    """Return a packed image whose data are damaged behind the first kilobytes.

    Its blocks are stored as they are, so that the beginning can be unpacked.
    """
    packed = bytearray(gzip.compress(good("BMP"), compresslevel=0, mtime=0))
    packed[len(packed) // 2 :] = b"\xff" * (len(packed) - len(packed) // 2)
    return bytes(packed)


def in_aws_chunks(content: bytes) -> bytes:
    """Return a file in the frames in which S3 takes uploads."""
    signature = b";chunk-signature=" + b"0" * 64
    middle = len(content) // 2
    frames = [content[:middle], content[middle:], b""]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(frame), signature, frame) for frame in frames)


def _png(chunks: tuple[bytes, ...]) -> bytes:
    return PNG_MAGIC + b"".join(chunks) + _chunk(b"IEND", b"")


def _header(width_px: int, height_px: int) -> bytes:
    return struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _iso_media(brand: bytes) -> bytes:
    """Return the beginning of a file whose content its brand tells."""
    return struct.pack(">I4s4sI4s", 24, b"ftyp", brand, 0, brand) + b"\0\0\0\x08free"


UNDECODED = {
    "HEIC": _iso_media(b"heic"),
    "HEIF": _iso_media(b"mif1"),
    "Canon raw": _iso_media(b"crx "),
    "JPEG XL": b"\xff\x0a",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XR": b"II\xbc\1",
    "SVG": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "ICO": b"\0\0\1\0\1\0",
    "ICNS": b"icns\0\0\2\x58",
    "TGA": b"\0\0\2" + bytes(9) + b"\x40\0\x40\0\x18",
    "PNM": b"P6\n64 64\n255\n",
    "JPEG-LS": b"\xff\xd8\xff\xf7",
    "CUR": b"\0\0\2\0\1\0",
    "PSD": b"8BPS\0\1",
    "XCF": b"gimp xcf v011",
    "OpenEXR": b"v/1\1",
    "Radiance HDR": b"#?RADIANCE\n",
    "DDS": b"DDS |\0\0\0",
    "QOI": b"qoif",
    "FLIF": b"FLIF",
    "BPG": b"BPG\xfb",
    "DjVu": b"AT&TFORM",
    "WMF": b"\xd7\xcd\xc6\x9a",
    "EMF": b"\1\0\0\0" + b"\0" * 36 + b" EMF",
    "PostScript": b"%!PS-Adobe-3.0\n",
}
"""Beginnings of images in formats that are not decoded, by the format's name."""

NO_IMAGES = {
    "HTML": b"<!doctype html><html><title>Not found</title></html>",
    "JSON": b'{"error": "not found"}',
    "XML": b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
    "PDF": b"%PDF-1.7\n",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\3",
    "Zstandard": b"\x28\xb5\x2f\xfd",
    "ZIP": b"PK\3\4",
    "MP4 video": _iso_media(b"isom"),
    "QuickTime video": _iso_media(b"qt  "),
    "WebM or Matroska video": b"\x1aE\xdf\xa3",
    "Flash video": b"FLV\1",
    "AVI video": b"RIFF\0\0\0\0AVI ",
    "WAVE sound": b"RIFF\0\0\0\0WAVE",
    "Ogg": b"OggS",
    "MP3": b"ID3\4",
}
"""Beginnings of files that are no images, by their format's name."""
