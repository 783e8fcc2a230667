"""Image headers: whether bytes are an image, its size, its orientation.

No pixel is decoded here. The module also holds `ImageError`, which every decoder's own error
becomes.
"""

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import StrEnum

from PIL import Image, UnidentifiedImageError

from openalign.images import png_chunks, signatures, tiff_tags, webp_chunks
from openalign.images.png_chunks import EXIF_BYTES
from openalign.images.signatures import SIGNATURE_BYTES, FileFormat, Kind, format_of

SIDEWAYS = (5, 6, 7, 8)
"""The EXIF orientations for which width and height change places."""

_ORIENTATION = 0x0112

_WORDS = (
    (("truncated", "end of file", "create decoder"), "it ends before its pixels do"),
    (("not supported", "unsupported"), "pixels of its kind are not decoded"),
    (("data stream", "decoder error", "decoding error", "broken"), "its pixels are damaged"),
)
"""What decoders say in lower case, in part, and what a detail says then."""


class ImageFault(StrEnum):
    """Why bytes give no image. Each value is also a state of `fetch`."""

    NOT_AN_IMAGE = "not_an_image"
    UNDECODED_FORMAT = "undecoded_format"
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

    `formats` are Pillow's names of the formats to try; None tries all that it knows. Of a PNG, what
    is not the image is left out (`png_chunks.without_metadata`), and of a WebP what is not whole
    (`webp_chunks.whole`).
    Errors are Pillow's own: see `decoder_errors`.
    """
    found = format_of(content)
    if found is signatures.PNG:
        content = png_chunks.without_metadata(content)
    elif found is signatures.WEBP:
        content = webp_chunks.whole(content)
    elif found is signatures.TIFF:
        tiff_tags.require_modest_tags(content)
    image = Image.open(io.BytesIO(content), formats=formats)
    if len(image.info.get("exif") or b"") > EXIF_BYTES:
        del image.info["exif"]
    return tiff_tags.opened_rightly(image, content) if image.format == "TIFF" else image


def open_web_header(content: bytes) -> Image.Image:
    """Read the header of an image from the web.

    Raises:
        ImageError: the first bytes are not those of a format that is decoded.
    """
    return open_header(content, formats=(_require_decoded(content).pillow,))


def forget_xmp(image: Image.Image) -> None:
    """Let EXIF alone tell an image's orientation, as in browsers.

    Pillow looks in XMP, too, where programs leave what was true before they turned the pixels.
    """
    if image.info.pop("xmp", None) is None or "exif" not in image.info:
        return
    told = Image.Exif()
    with suppress(Exception):  # broken EXIF says nothing about the image
        told.load(image.info["exif"])
    image.getexif()[_ORIENTATION] = told.get(_ORIENTATION, 1)  # it may have been asked already


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

    Orientation is applied where it stands before the pixels. A PNG's or WebP's may stand behind
    them: their sizes are as stored, so that they do not depend on how many bytes there are.

    Raises:
        ImageError: the bytes begin no image that is decoded.
    """
    found = format_of(first_bytes)
    if len(first_bytes) < SIGNATURE_BYTES and (found is None or found.kind is not Kind.DECODED):
        return None
    match _require_decoded(first_bytes):
        case signatures.PNG:
            png = png_chunks.read_header(first_bytes)
            return (png.width_px, png.height_px) if png else None
        case signatures.WEBP:
            return _webp_size(first_bytes)
        case _:
            return _size_by_pillow(first_bytes)


def _size_by_pillow(first_bytes: bytes) -> tuple[int, int] | None:
    try:
        with quiet_decoders():
            image = open_web_header(first_bytes)
            forget_xmp(image)
            width_px, height_px = image.size
            sideways = image.info.get("exif") is not None and orientation_of(image) in SIDEWAYS
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except Exception:  # noqa: BLE001  # half a header makes each format fail in its own way
        return None
    return (height_px, width_px) if sideways else (width_px, height_px)


def _webp_size(first_bytes: bytes) -> tuple[int, int] | None:
    """Return the width and height that a WebP's first chunk says, or None if it says none."""
    chunk, body = first_bytes[12:16], first_bytes[20:30]
    if len(body) < 10:
        return None
    match chunk:
        case b"VP8X":  # the canvas: two numbers of 24 bits, less one
            width, height = (int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
            return 1 + width, 1 + height
        case b"VP8L":  # two numbers of 14 bits, less one, behind a byte of signature
            bits = int.from_bytes(body[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":  # two numbers of 14 bits behind a frame tag and a start code
            width, height = (int.from_bytes(body[at : at + 2], "little") for at in (6, 8))
            return width & 0x3FFF, height & 0x3FFF
        case _:
            return None


@contextmanager
def decoder_errors(content: bytes) -> Generator[None]:
    """Turn every error that a decoder raises over hostile bytes into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except UnidentifiedImageError as error:
        raise _unknown(format_of(content)) from error
    except Exception as error:  # decoders raise anything over hostile bytes; the reason is kept
        found = format_of(content)
        detail = f"{found.name}: {_words_of(error)}" if found else _words_of(error)
        message = f"{detail} ({type(error).__name__}: {error})"
        raise ImageError(ImageFault.DECODE_FAILURE, detail, message) from error


@contextmanager
def quiet_decoders() -> Generator[None]:
    """Silence Pillow's warnings about things that the caller checks itself.

    Python's warning filters belong to the process: several threads must not do this at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _require_decoded(content: bytes) -> FileFormat:
    if not content:
        raise ImageError(ImageFault.NOT_AN_IMAGE, "it is empty")
    found = format_of(content)
    if found is None or found.kind is not Kind.DECODED:
        raise _unknown(found)
    return found


def _unknown(found: FileFormat | None) -> ImageError:
    """Return the error about bytes that no decoder takes for an image."""
    if found is None:
        return ImageError(ImageFault.NOT_AN_IMAGE, "its first bytes are those of no image")
    match found.kind:
        case Kind.DECODED:
            reason, words = (
                ImageFault.DECODE_FAILURE,
                "its header is damaged, cut off or of a rare kind",
            )
        case Kind.UNDECODED:
            reason, words = ImageFault.UNDECODED_FORMAT, "this format is not decoded"
        case Kind.NO_IMAGE:
            reason, words = ImageFault.NOT_AN_IMAGE, "this is no image"
    return ImageError(reason, f"{found.name}: {words}")


def _too_large() -> ImageError:
    return ImageError(ImageFault.TOO_MANY_PIXELS, "more pixels than any limit")


def _words_of(error: Exception) -> str:
    said = str(error).lower()
    for parts, words in _WORDS:
        if any(part in said for part in parts):
            return words
    return "its data are damaged"
