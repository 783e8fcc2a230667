"""Image headers: whether bytes are an image, its size, its orientation.

No pixel is decoded here. The module also holds `ImageError`, which every decoder's own error
becomes.
"""

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum

from PIL import Image, UnidentifiedImageError

MAGIC_BYTES = 32
"""This many bytes decide whether a file begins like an image."""

WEB_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
"""The formats that are taken from the web, by Pillow's names. Their magic is looked for first."""

SIDEWAYS = (5, 6, 7, 8)
"""The EXIF orientations for which width and height change places."""

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_ORIENTATION = 0x0112


class ImageFault(StrEnum):
    """Why bytes give no image. Each value is also a state of `fetch`."""

    NOT_AN_IMAGE = "not_an_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODE_FAILURE = "decode_failure"


class ImageError(Exception):
    """Bytes that give no image; `reason` and `detail` say why.

    `detail` is short and the same for every release of a decoder. The message also has the
    decoder's own words.
    """

    def __init__(self, reason: ImageFault, detail: str, message: str | None = None) -> None:
        super().__init__(message or detail)
        self.reason = reason
        self.detail = detail


def open_header(content: bytes, *, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Read an image's header; Pillow reads its pixels when they are asked for.

    `formats` are Pillow's names of the formats to try; None tries all that it knows.
    Errors are Pillow's own: see `decoder_errors`.
    """
    return Image.open(io.BytesIO(content), formats=formats)


def open_web_header(content: bytes) -> Image.Image:
    """Read the header of an image from the web: its first bytes must be those of a web format.

    Raises:
        ImageError: the first bytes are those of no image.
    """
    if not _has_magic(content):
        raise ImageError(ImageFault.NOT_AN_IMAGE, "its first bytes are those of no image")
    return open_header(content, formats=WEB_FORMATS)


def orientation_of(image: Image.Image) -> int:
    """Return an image's EXIF orientation, from 1 to 8; 1 (upright) where EXIF is broken or absent.

    Pillow turns TIFF by itself when it loads the pixels, so ask after they are loaded.
    """
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  # broken EXIF says nothing about the image
        return 1
    return value if value in range(1, 9) else 1


def read_size(first_bytes: bytes) -> tuple[int, int] | None:
    """Return width and height from an image's first bytes, or None when more bytes are needed.

    Orientation is applied as far as the bytes show it.

    Raises:
        ImageError: the bytes begin no image.
    """
    if len(first_bytes) < MAGIC_BYTES and not _has_magic(first_bytes):
        return None
    try:
        with quiet_decoders():
            image = open_web_header(first_bytes)
            width_px, height_px = image.size
            sideways = image.info.get("exif") is not None and orientation_of(image) in SIDEWAYS
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(ImageFault.TOO_MANY_PIXELS, "more pixels than any limit") from error
    except Exception:  # noqa: BLE001  # half a header makes each format fail in its own way
        return None
    return (height_px, width_px) if sideways else (width_px, height_px)


@contextmanager
def decoder_errors() -> Generator[None]:
    """Turn every error that a decoder raises over hostile bytes into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(ImageFault.NOT_AN_IMAGE, "no image can be read from it") from error
    except Image.DecompressionBombError as error:
        raise ImageError(ImageFault.TOO_MANY_PIXELS, "more pixels than any limit") from error
    except Exception as error:  # decoders raise anything over hostile bytes; the reason is kept
        name = type(error).__name__
        raise ImageError(ImageFault.DECODE_FAILURE, name, f"{name}: {error}") from error


@contextmanager
def quiet_decoders() -> Generator[None]:
    """Silence Pillow's warnings about things that the caller checks itself.

    Python's warning filters belong to the process: several threads must not do this at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _has_magic(first_bytes: bytes) -> bool:
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return True
    if first_bytes[4:8] == b"ftyp":
        brands = first_bytes[8:MAGIC_BYTES]
        return b"avif" in brands or b"avis" in brands
    return first_bytes.startswith(_MAGIC)
