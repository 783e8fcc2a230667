"""Image bytes to upright RGB pixels: the one decoder of `fetch`, `train` and `evaluate`.

Decoding is the main cost of `fetch` (about 5 ms at 640 px). A JPEG is decoded at a reduced DCT
scale, by simplejpeg, which was measured faster than Pillow.
"""

import io
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageCms

from openalign.images import png_chunks, samples
from openalign.images.headers import decoder_errors, forget_xmp, open_header, orientation_of
from openalign.images.jpeg_headers import plain_size
from openalign.images.jpeg_scans import require_few_scans, with_end

JPEG_FORMATS = ("JPEG", "MPO")
"""Pillow's names of the formats whose decoder knows reduced scales."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that undoes each EXIF orientation."""


_RAMPS = (
    np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.uint8)[:, None]
    * np.arange(256, dtype=np.uint8)[:, None]
)
"""Red, green, blue and gray from none to all of it, as `[4, 256, 3]`."""

_SAME_LEVELS = 3
"""By so much sRGB may differ from itself: profiles round its curve and its colors."""


class Policy(StrEnum):
    """The steps from an image's bytes to its pixels."""

    OURS = "ours"
    """The first frame. EXIF orientation and ICC profile are applied. Values of more than 8 bits are
    brought to 8 (`samples`). Transparent pixels lie on white. A JPEG may be decoded at a reduced
    scale."""

    PROCESSOR = "processor"
    """What Hugging Face's `load_image` hands to an image processor: the first frame at its full
    size, by Pillow. EXIF orientation is applied, the ICC profile is not. Transparency is dropped,
    so that the colors below it show. Values of more than 8 bits are brought to 8, which is the
    one departure: `load_image` makes them white."""


class JpegScales(StrEnum):
    """The scales at which a JPEG may be decoded. The smallest that is large enough is taken."""

    EIGHTHS = "eighths"
    """Every eighth of the size: the fewest pixels."""

    HALVES = "halves"
    """The whole, a half, a quarter, an eighth: the cheapest to decode."""


def decode(
    content: bytes,
    *,
    min_side_px: int = 0,
    scales: JpegScales = JpegScales.EIGHTHS,
    policy: Policy = Policy.OURS,
) -> Image.Image:
    """Return an image's pixels: mode RGB, upright, without metadata; in sRGB by `Policy.OURS`.

    No side is shorter than `min_side_px`, unless the original's is; 0 asks for all pixels.
    `Policy.PROCESSOR` always gives all pixels.

    Raises:
        ImageError: the bytes are no image, too large a one, or broken.
    """
    with decoder_errors(content):
        return decode_opened(
            open_header(content), content, min_side_px=min_side_px, scales=scales, policy=policy
        )


def decode_array(
    content: bytes, *, min_side_px: int = 0, scales: JpegScales = JpegScales.EIGHTHS
) -> npt.NDArray[np.uint8]:
    """Return what `decode` returns by `Policy.OURS`, as `[height, width, 3]`.

    A JPEG that needs neither turning nor a profile is not copied on the way.

    Raises:
        ImageError: the bytes are no image, too large a one, or broken.
    """
    with decoder_errors(content):
        size = plain_size(content)
        if size is not None:
            require_few_scans(content)
            if (colors := _decode_fast(content, size, min_side_px, scales)) is not None:
                return colors
        header = open_header(content)
        forget_xmp(header)
        if size is None and header.format in JPEG_FORMATS and _is_plain(header):
            require_few_scans(content)
            colors = _decode_fast(content, header.size, min_side_px, scales)
            if colors is not None:
                return colors
        return np.array(decode_opened(header, content, min_side_px=min_side_px, scales=scales))


def decode_opened(
    header: Image.Image,
    content: bytes,
    *,
    min_side_px: int = 0,
    scales: JpegScales = JpegScales.EIGHTHS,
    policy: Policy = Policy.OURS,
) -> Image.Image:
    """Return what `decode` returns, for an image whose header is read already.

    A header serves for one decode. Errors are the decoders' own: see `decoder_errors`.
    """
    if header.format in JPEG_FORMATS:
        require_few_scans(content)
    if header.mode == "P" and header.palette is None:
        raise OSError("broken: it has no palette")
    match policy:
        case Policy.OURS:
            forget_xmp(header)
            drawn = _drawn_box(header)
            pixels = header
            if header.format in JPEG_FORMATS:
                pixels = _decode_jpeg(header, content, min_side_px, scales)
            try:
                pixels.load()
            except OSError:
                whole = png_chunks.with_checksum(content) if header.format == "PNG" else None
                if whole is None:
                    raise
                header = pixels = open_header(whole)
                content = whole
                pixels.load()
            if header.format == "PNG" and not png_chunks.has_all_rows(content, pixels):
                raise OSError("truncated: rows are missing")
            image = _to_srgb(pixels, content, header.info.get("icc_profile"), drawn)
        case Policy.PROCESSOR:
            header.load()
            image = _without_alpha(samples.to_gray(header) if samples.is_deep(header) else header)
    turn = _UPRIGHT.get(orientation_of(header))
    return _bare(image if turn is None else image.transpose(turn), header)


def thumbnail(content: bytes, *, max_side_px: int) -> Image.Image:
    """Return a small copy of an image, as `decode` sees it: no side is above `max_side_px`.

    Raises:
        ImageError: the bytes are no image, too large a one, or broken.
    """
    image = decode(content, min_side_px=2 * max_side_px, scales=JpegScales.HALVES)
    image.thumbnail((max_side_px, max_side_px), reducing_gap=None)
    return image


def _decode_jpeg(
    header: Image.Image, content: bytes, min_side_px: int, scales: JpegScales
) -> Image.Image:
    inks = _has_inks(header)
    size = header.size
    if not inks and (colors := _decode_fast(content, size, min_side_px, scales)) is not None:
        return _in_mode(header.mode, colors)
    whole = with_end(content, inks=inks)
    if whole is not content:
        if not inks and (colors := _decode_fast(whole, size, min_side_px, scales)) is not None:
            return _in_mode(header.mode, colors)
        header = open_header(whole)
    if 0 < min_side_px < min(size):
        header.draft(None, (min_side_px, min_side_px))
    return header


def _in_mode(mode: str, colors: npt.NDArray[np.uint8]) -> Image.Image:
    """Return decoded colors as an image: that of a gray JPEG in gray, as its profile is."""
    image = Image.fromarray(colors)
    return image.getchannel(0) if mode == "L" else image


def _has_inks(header: Image.Image) -> bool:
    """Tell whether a JPEG's colors are inks: those are not simplejpeg's."""
    return header.mode not in ("RGB", "L")


def _is_plain(header: Image.Image) -> bool:
    """Tell whether a JPEG's decoded pixels are already upright and count as sRGB."""
    turned = orientation_of(header) in _UPRIGHT
    return not (_has_inks(header) or turned or header.info.get("icc_profile"))


def _decode_fast(
    content: bytes, size: tuple[int, int], min_side_px: int, scales: JpegScales
) -> npt.NDArray[np.uint8] | None:
    """Return a JPEG's pixels, or None if there is anything to warn of in it."""
    if min(size) <= min_side_px:
        min_side_px = 0  # the whole image: rounding could make it smaller
    min_width, min_height = min_side_px, min_side_px
    if min_side_px and scales is JpegScales.HALVES:
        min_width, min_height = _halved(size, min_side_px)
    try:
        colors = simplejpeg.decode_jpeg(content, "RGB", min_height=min_height, min_width=min_width)
    except ValueError:
        return None
    return colors


def _halved(size: tuple[int, int], min_side_px: int) -> tuple[int, int]:
    """Return the size at the smallest of the halving scales that leaves `min_side_px` pixels.

    Sides are rounded up, as the decoder rounds them.
    """
    divisor = next(by for by in (8, 4, 2, 1) if min(size) // by >= min_side_px)
    width_px, height_px = size
    return -(-width_px // divisor), -(-height_px // divisor)


def _drawn_box(header: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the part of a GIF's canvas that its first frame covers, or None if it is all."""
    if header.format != "GIF" or not header.tile:  # pyright: ignore[reportAttributeAccessIssue]
        return None
    box = header.tile[0].extents  # pyright: ignore[reportAttributeAccessIssue]
    return None if box == (0, 0, *header.size) else box


def _to_srgb(
    image: Image.Image,
    content: bytes,
    icc_profile: bytes | None,
    drawn: tuple[int, int, int, int] | None,
) -> Image.Image:
    """Return an image in sRGB, mode RGB, on white where something is transparent or not drawn."""
    color, alpha = _color_and_alpha(image, content)
    if image.format == "BMP" and alpha is not None and alpha.getextrema() == (0, 0):
        alpha = None  # the fourth byte was never set: browsers take such a one as opaque, too
    if drawn is not None:
        alpha = _only_within(drawn, alpha or Image.new("L", image.size, 255))
    color = _through_profile(color, icc_profile)
    color = color if color.mode == "RGB" else color.convert("RGB")
    if alpha is None:
        return color
    white = Image.new("RGB", color.size, (255, 255, 255))
    white.paste(color, mask=alpha)
    return white


def _only_within(box: tuple[int, int, int, int], alpha: Image.Image) -> Image.Image:
    within = Image.new("L", alpha.size, 0)
    within.paste(alpha.crop(box), box)
    return within


def _color_and_alpha(image: Image.Image, content: bytes) -> tuple[Image.Image, Image.Image | None]:
    """Return an image's colors, eight bits each, and its opacity where it has any."""
    transparent = image.info.get("transparency")
    if samples.is_deep(image):
        image = samples.to_gray(image)
    elif image.mode == "1":
        image = image.convert("LA" if transparent is not None else "L")
    elif image.mode == "L" and isinstance(transparent, int):
        image.info["transparency"] = samples.transparent_gray(content, transparent)
        image = image.convert("LA")
    elif image.mode == "RGB" and isinstance(transparent, tuple):
        image = samples.to_rgba(image, content)
    elif image.mode in ("P", "PA", "La", "RGBa") or transparent is not None:
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode not in ("LA", "RGBA"):
        return image, None
    return image.convert(image.mode[:-1]), image.getchannel("A")


def _without_alpha(image: Image.Image) -> Image.Image:
    image.info.pop("transparency", None)  # Pillow warns of it, and it changes no color
    return image.convert("RGB")


def _through_profile(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, lab, _srgb(), outputMode="RGB") or image
    space = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}.get(image.mode)
    if not icc_profile or space is None:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if cast("Any", profile.profile).xcolor_space != space:
            return image
        if image.mode == "RGB" and _is_srgb(icc_profile):
            return image
        converted = ImageCms.profileToProfile(image, profile, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a broken profile is ignored; the values count as sRGB
    return converted if converted is not None else image


@lru_cache(maxsize=16)
def _is_srgb(icc_profile: bytes) -> bool:
    """Tell whether a profile of RGB is called sRGB and is, as those of most cameras are.

    Names do not tell: "Linear sRGB" and others have its colors and another curve.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    if "sRGB" not in ImageCms.getProfileDescription(profile):
        return False
    ramps = Image.fromarray(_RAMPS)
    converted = ImageCms.profileToProfile(ramps, profile, _srgb(), outputMode="RGB")
    difference = np.asarray(converted).astype(np.int16) - _RAMPS
    return int(np.abs(difference).max()) <= _SAME_LEVELS


@cache
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _bare(image: Image.Image, header: Image.Image) -> Image.Image:
    """Return an image without the profile, EXIF and texts that it would carry into a new file."""
    image = image.copy() if image is header else image
    image.info.clear()
    return image
