"""What `fetch` keeps of an image: facts about the original, and the file that is stored.

`openalign.images.decoding` decodes the bytes; a stored file is in sRGB, or the original itself.
The header is checked before any pixel is decoded.
"""

import io
from dataclasses import asdict, dataclass

import numpy as np
import simplejpeg
from PIL import Image

from openalign.images.decoding import JPEG_FORMATS, decode_opened
from openalign.images.forms import MEMBER_ENDINGS, Encoding, StoredForm
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

_LONGEST_SIDE_PX: dict[Encoding, int] = {"jpeg": 65_500, "webp": 16_383, "png": (1 << 31) - 1}
"""What an encoder takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The facts about an original."""

    width_px: int
    """After its orientation was applied; so is the height."""

    height_px: int
    sha256: str
    phash: str
    ending: str
    """Of the shard member that holds the image: `jpg`, `png`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage(ImageFacts):
    """An image as it goes into a shard, and the facts about its original."""

    content: bytes


def inspect(content: bytes, *, max_pixels: int) -> ImageFacts:
    """Return the facts about an image that stays as it is; its pixels are decoded.

    Raises:
        ImageError: the bytes are no image of a web format, too large a one, or broken.
    """
    with quiet_decoders(), decoder_errors(content):
        header = _small_enough(content, max_pixels)
        size, ending = header.size, MEMBER_ENDINGS[header.format or ""]
        image = decode_opened(header, content, min_side_px=HASH_PX)
        width_px, height_px = _upright(size, header)
        phash = phash_of(image)
    return ImageFacts(
        width_px=width_px,
        height_px=height_px,
        sha256=sha256_of_bytes(content),
        phash=phash,
        ending=ending,
    )


def store(content: bytes, form: StoredForm, *, max_pixels: int) -> StoredImage:
    """Return an image in the form in which it is stored.

    Raises:
        ImageError: the bytes are no image of a web format, too large a one, or broken.
    """
    if form.keep_original:
        facts = inspect(content, max_pixels=max_pixels)
        return StoredImage(content=content, **asdict(facts))
    with quiet_decoders(), decoder_errors(content):
        header = _small_enough(content, max_pixels)
        size = header.size
        min_side_px = 0 if form.resize == "none" else form.size_px
        image = decode_opened(header, content, min_side_px=min_side_px)
        width_px, height_px = _upright(size, header)
        hashed = image
        if header.format in JPEG_FORMATS and min_side_px != HASH_PX:
            hashed = decode_opened(open_web_header(content), content, min_side_px=HASH_PX)
        encoded = _encode(_resize(image, form), form)
        phash = phash_of(hashed)
    return StoredImage(
        content=encoded,
        width_px=width_px,
        height_px=height_px,
        sha256=sha256_of_bytes(content),
        phash=phash,
        ending=MEMBER_ENDINGS[form.format.upper()],
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


def _resize(image: Image.Image, form: StoredForm) -> Image.Image:
    width_px, height_px = image.size
    short_px = min(width_px, height_px)
    size_px = min(form.size_px, short_px)
    match form.resize:
        case "short_side":
            sides = tuple(
                size_px if side == short_px else round(side * size_px / short_px)
                for side in image.size
            )
        case "squash":
            sides = tuple(min(form.size_px, side) for side in image.size)
        case "center_crop":
            left, top = (width_px - short_px) // 2, (height_px - short_px) // 2
            image = image.crop((left, top, left + short_px, top + short_px))
            sides = (size_px, size_px)
        case "none":
            sides = image.size
    if sides == image.size:
        return image
    # Of Pillow's filters this one aliases least, and only the box is faster (benchmarks/images.py).
    return image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _encode(image: Image.Image, form: StoredForm) -> bytes:
    if max(image.size) > _LONGEST_SIDE_PX[form.format]:
        raise ImageError(
            ImageFault.TOO_MANY_PIXELS,
            f"stored, it would have {image.width} x {image.height} pixels: more than a "
            f"{form.format} holds",
        )
    if form.format == "jpeg":
        pixels = np.ascontiguousarray(np.asarray(image))
        return bytes(simplejpeg.encode_jpeg(pixels, quality=form.quality, colorsubsampling="420"))
    sink = io.BytesIO()
    image.save(sink, form.format, quality=form.quality)
    return sink.getvalue()
