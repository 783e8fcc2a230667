"""In what form `fetch` stores an image."""

from dataclasses import dataclass
from typing import Literal

Resize = Literal["short_side", "squash", "center_crop", "none"]
Encoding = Literal["jpeg", "webp", "png"]

MEMBER_ENDINGS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "AVIF": "avif",
}
"""The ending of a shard member that holds an image, by Pillow's name of its format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredForm:
    """Size and encoding of stored images. No side is ever made longer."""

    resize: Resize
    """`short_side`: the shorter side becomes `size_px`, the longer one keeps the ratio.
    `squash`: each side becomes `size_px`.
    `center_crop`: the middle square is cut out, and its side becomes `size_px`.
    `none`: the size stays."""

    size_px: int
    format: Encoding

    quality: int
    """From 1 to 100, of JPEG and WebP. PNG has none."""

    keep_original: bool
    """Whether the bytes are stored as they came, in whatever format; the rest does not count."""
