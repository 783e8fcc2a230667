"""Small copies of images, for pages."""

import base64
import io

from openalign.images import decoding

THUMBNAIL_PX = 128


def encode_thumbnail(content: bytes) -> bytes:
    """Return an image as WebP of at most `THUMBNAIL_PX` a side, transparency on white.

    Raises:
        ImageError: the bytes are no image.
    """
    small = io.BytesIO()
    image = decoding.thumbnail(content, max_side_px=THUMBNAIL_PX)
    image.save(small, "WEBP", quality=82, method=4)
    return small.getvalue()


def webp_url(webp: bytes) -> str:
    """Return a WebP image as an address that holds it."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
