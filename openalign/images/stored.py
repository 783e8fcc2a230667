"""What `fetch` keeps of an image: facts about the original, and a JPEG in sRGB where it is stored.

`openalign.images.decoding` decodes the bytes; the JPEG has a given short side. The header is
checked before any pixel is decoded.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from openalign.images.decoding import JPEG_FORMATS, decode_opened
from openalign.images.hashes import HASH_PX, phash_of, sha256_of_bytes
from openalign.images.headers import (
    SIDEWAYS,
    ImageError,
    ImageFault,
    decoder_errors,
    open_web_header,
    orientation_of,
    quiet_decoders,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The facts about an original."""

    width_px: int
    """After its orientation was applied; so is the height."""

    height_px: int
    sha256: str
    phash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage(ImageFacts):
    """An image as it goes into a shard, and the facts about its original."""

    jpeg: bytes


def inspect(content: bytes, *, max_pixels: int) -> ImageFacts:
    """Return the facts about an image that stays as it is; its pixels are decoded.

    Raises:
        ImageError: the bytes are no image of a web format, too large a one, or broken.
    """
    with quiet_decoders(), decoder_errors(content):
        header = _small_enough(content, max_pixels)
        size = header.size
        image = decode_opened(header, content, min_side_px=HASH_PX)
        width_px, height_px = _upright(size, header)
        phash = phash_of(image)
    return ImageFacts(
        width_px=width_px, height_px=height_px, sha256=sha256_of_bytes(content), phash=phash
    )


def store(content: bytes, *, short_side_px: int, jpeg_quality: int, max_pixels: int) -> StoredImage:
    """Return an image with its short side at `short_side_px`, or as it is when it is smaller.

    Raises:
        ImageError: the bytes are no image of a web format, too large a one, or broken.
    """
    with quiet_decoders(), decoder_errors(content):
        header = _small_enough(content, max_pixels)
        size = header.size
        image = decode_opened(header, content, min_side_px=short_side_px)
        width_px, height_px = _upright(size, header)
        hashed = image
        if header.format in JPEG_FORMATS and short_side_px != HASH_PX:
            hashed = decode_opened(open_web_header(content), content, min_side_px=HASH_PX)
        jpeg = _encode(_shrink(image, short_side_px), jpeg_quality)
        phash = phash_of(hashed)
    return StoredImage(
        jpeg=jpeg,
        width_px=width_px,
        height_px=height_px,
        sha256=sha256_of_bytes(content),
        phash=phash,
    )


def _small_enough(content: bytes, max_pixels: int) -> Image.Image:
    """Return the header of an image that may be decoded."""
    header = open_web_header(content)
    width_px, height_px = header.size
    if width_px * height_px > max_pixels:
        raise ImageError(
            ImageFault.TOO_MANY_PIXELS, f"{width_px} x {height_px} is more than {max_pixels}"
        )
    return header


def _upright(size: tuple[int, int], header: Image.Image) -> tuple[int, int]:
    """Return the width and height of an image after its orientation is applied.

    `size` is as the header said it; the header was decoded meanwhile (`orientation_of`).
    """
    return (size[1], size[0]) if orientation_of(header) in SIDEWAYS else size


def _shrink(image: Image.Image, short_side_px: int) -> Image.Image:
    short = min(image.size)
    if short <= short_side_px:
        return image
    width, height = (
        short_side_px if side == short else round(side * short_side_px / short)
        for side in image.size
    )
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _encode(image: Image.Image, quality: int) -> bytes:
    pixels = np.ascontiguousarray(np.asarray(image))
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorsubsampling="420"))
