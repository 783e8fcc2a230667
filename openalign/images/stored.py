"""Image bytes to what is stored and known of them. Pure: no network, no files.

What is stored is a JPEG in sRGB with its short side at a given size, upright, on white where the
original was transparent, the first frame of an animation. Decoding is the dear part of `fetch`
(about 5 ms at 640 px): JPEG is decoded at the reduced DCT scale that is just large enough
(simplejpeg measured better than Pillow's draft), and nothing before its header is judged.
"""

import hashlib
import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import simplejpeg
from PIL import Image, ImageCms, UnidentifiedImageError

from openalign.files.states import FetchState

HASH_PX = 346
"""Short side at which a JPEG is decoded for its hash: the default of what is stored, so that one
decode serves both. Another stored size does not change an image's hash."""

MAGIC_BYTES = 32
"""With so many bytes it is certain whether they begin an image."""

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
_JPEG = ("JPEG", "MPO")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""

_GRID = 32
_LOW = 8
_BASIS = np.rint(
    np.cos(np.pi * np.outer(np.arange(_LOW), 2 * np.arange(_GRID) + 1) / (2 * _GRID)) * (1 << 14)
).astype(np.int64)


class ImageError(Exception):
    """Bytes that cannot be stored; `state` and `detail` say why."""

    def __init__(self, state: FetchState, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image as it goes into a shard, and the facts about its original."""

    jpeg: bytes
    width_px: int
    """Of the original, after its orientation was applied; so is the height."""

    height_px: int
    sha256: str
    phash: int


def store(data: bytes, *, short_side_px: int, jpeg_quality: int, max_pixels: int) -> StoredImage:
    """Return an image with its short side at `short_side_px`, or as it is when it is smaller.

    Raises:
        ImageError: the bytes are no image, too large a one, or broken.
    """
    with _errors_of_decoders():
        original = _open(data)
        width_px, height_px = original.size
        _check_pixels(width_px, height_px, max_pixels)
        is_jpeg = original.format in _JPEG
        pixels, is_sideways = _decode(original, data, short_side_px)
        if is_sideways:
            width_px, height_px = height_px, width_px
        hashed = pixels
        if is_jpeg and short_side_px != HASH_PX:
            hashed, _ = _decode(_open(data), data, HASH_PX)
        jpeg = _encode(_shrink(pixels, short_side_px), jpeg_quality)
    return StoredImage(
        jpeg=jpeg,
        width_px=width_px,
        height_px=height_px,
        sha256=hashlib.sha256(data).hexdigest(),
        phash=phash_of(hashed),
    )


def fingerprint(data: bytes) -> tuple[str, int]:
    """Return the sha256 of an image's bytes and the perceptual hash of its picture.

    Both are what `store` gives for the same bytes.

    Raises:
        ImageError: the bytes are no image.
    """
    with _errors_of_decoders():
        pixels, _ = _decode(_open(data), data, HASH_PX)
    return hashlib.sha256(data).hexdigest(), phash_of(pixels)


def phash_of(picture: Image.Image) -> int:
    """Return the 64-bit DCT hash of a picture's luminance: equal for equal pictures of any size.

    Bit i says whether the i-th of the 8 x 8 lowest frequencies, row by row, is above the median
    of those without the mean. In whole numbers, so that no processor rounds it differently.
    """
    gray = picture.convert("L").resize((_GRID, _GRID), Image.Resampling.BOX)
    grid = np.asarray(gray).astype(np.int64)
    frequencies = (_BASIS @ grid @ _BASIS.T).ravel()
    bits = frequencies > np.median(frequencies[1:])
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def measure(data: bytes) -> tuple[int, int] | None:
    """Return width and height from the first bytes of an image, or None when they do not tell yet.

    Orientation is applied as far as the bytes show it.

    Raises:
        ImageError: the bytes begin no image.
    """
    if not _has_magic(data):
        if len(data) < MAGIC_BYTES:
            return None
        raise ImageError(FetchState.NOT_AN_IMAGE, "its first bytes are those of no image")
    try:
        with _quiet(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width_px, height_px = image.size
            sideways = image.info.get("exif") is not None and _orientation(image) in _SIDEWAYS
    except Image.DecompressionBombError as error:
        raise ImageError(FetchState.TOO_MANY_PIXELS, "more pixels than any limit") from error
    except Exception:  # noqa: BLE001  # half a header makes each format fail in its own way
        return None
    return (height_px, width_px) if sideways else (width_px, height_px)


def _has_magic(data: bytes) -> bool:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return True
    if data[4:8] == b"ftyp":
        return b"avif" in data[8:MAGIC_BYTES] or b"avis" in data[8:MAGIC_BYTES]
    return data.startswith(_MAGIC)


def _open(data: bytes) -> Image.Image:
    """Read an image's header; its pixels are read when they are asked for."""
    if not _has_magic(data):
        raise ImageError(FetchState.NOT_AN_IMAGE, "its first bytes are those of no image")
    with _quiet():
        return Image.open(io.BytesIO(data), formats=_FORMATS)


def _check_pixels(width_px: int, height_px: int, max_pixels: int) -> None:
    if width_px * height_px > max_pixels:
        raise ImageError(
            FetchState.TOO_MANY_PIXELS, f"{width_px} x {height_px} is more than {max_pixels}"
        )


def _decode(image: Image.Image, data: bytes, min_px: int) -> tuple[Image.Image, bool]:
    """Return a picture's pixels in sRGB, upright, both sides at least `min_px` where they were.

    The second value tells whether width and height changed places.
    """
    with _quiet():
        pixels = image
        if image.format in _JPEG:
            pixels = _decode_jpeg(image, data, min_px)
        pixels.load()
        orientation = _orientation(image)
        picture = _on_white(_to_srgb(pixels, image.info.get("icc_profile")))
    turn = _UPRIGHT.get(orientation)
    return (picture if turn is None else picture.transpose(turn)), orientation in _SIDEWAYS


def _decode_jpeg(image: Image.Image, data: bytes, min_px: int) -> Image.Image:
    if min(image.size) <= min_px:
        min_px = 0  # whole, or the rounding of a few pixels would leave a smaller picture
    if image.mode in ("RGB", "L"):
        try:
            colors = simplejpeg.decode_jpeg(data, "RGB", min_height=min_px, min_width=min_px)
            return Image.fromarray(colors)
        except ValueError:
            pass  # it takes each warning for an error; what is truly broken fails below as well
    if min_px:
        image.draft(None, (min_px, min_px))
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  # broken EXIF says nothing about the picture
        return 1
    return value if value in range(1, 9) else 1


def _to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Return an image in sRGB: mode RGB, or RGBA where something is transparent."""
    image = _to_eight_bits(image)
    if image.mode in ("P", "PA", "LA", "La", "RGBa", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        color = _through_profile(rgba.convert("RGB"), icc_profile)
        color.putalpha(rgba.getchannel("A"))
        return color
    return _through_profile(image, icc_profile).convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "I":
        values = np.asarray(image)
        values = values >> 8 if values.max() > 255 else values
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return image.convert("L") if image.mode in ("1", "F") else image


def _through_profile(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    space = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}.get(image.mode)
    if not icc_profile or space is None:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if cast("Any", profile.profile).xcolor_space != space:
            return image
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        converted = ImageCms.profileToProfile(image, profile, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a broken profile says nothing; the numbers are taken for sRGB
    return converted if converted is not None else image


@cache
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _shrink(picture: Image.Image, short_side_px: int) -> Image.Image:
    short = min(picture.size)
    if short <= short_side_px:
        return picture
    width, height = (
        short_side_px if side == short else round(side * short_side_px / short)
        for side in picture.size
    )
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _encode(picture: Image.Image, quality: int) -> bytes:
    pixels = np.ascontiguousarray(np.asarray(picture))
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorsubsampling="420"))


@contextmanager
def _errors_of_decoders() -> Generator[None]:
    """Turn whatever a decoder raises over bytes from anywhere into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(FetchState.NOT_AN_IMAGE, "no image can be read from it") from error
    except Image.DecompressionBombError as error:
        raise ImageError(FetchState.TOO_MANY_PIXELS, "more pixels than any limit") from error
    except Exception as error:  # decoders raise anything over hostile bytes; the reason is kept
        raise ImageError(FetchState.DECODE_FAILURE, type(error).__name__) from error


@contextmanager
def _quiet() -> Generator[None]:
    """Keep Pillow from warning of what is judged here anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
