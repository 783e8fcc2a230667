"""Hashes that identify an image: sha256 of its bytes, perceptual hash of its pixels."""

import hashlib

import numpy as np
from PIL import Image

from openalign.images.decoding import decode_opened
from openalign.images.headers import decoder_errors, open_web_header, quiet_decoders

HASH_PX = 346
"""Short side at which a JPEG is decoded for its hash: the default of what is stored, so that one
decode serves both. Another stored size does not change an image's hash."""

_GRID = 32
_LOW = 8
_BASIS = np.rint(
    np.cos(np.pi * np.outer(np.arange(_LOW), 2 * np.arange(_GRID) + 1) / (2 * _GRID)) * (1 << 14)
).astype(np.int64)


def fingerprint_image(content: bytes) -> tuple[str, str]:
    """Return the sha256 of an image's bytes and the perceptual hash of its pixels.

    Both are what `openalign.images.stored.store` gives for the same bytes.

    Raises:
        ImageError: the bytes are no image of a web format, too large a one, or broken.
    """
    with quiet_decoders(), decoder_errors(content):
        image = decode_opened(open_web_header(content), content, min_side_px=HASH_PX)
    return sha256_of_bytes(content), phash_of(image)


def sha256_of_bytes(content: bytes) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def phash_of(image: Image.Image) -> str:
    """Return the 64-bit DCT hash of an image's luminance: equal for equal images of any size.

    It is 16 hex digits, because programs round a number beyond 53 bits.

    Bit i says whether the i-th of the 8 x 8 lowest frequencies, row by row, is above the median
    of those without the mean. The sums are of whole numbers, so no processor rounds differently.
    """
    gray = image.convert("L").resize((_GRID, _GRID), Image.Resampling.BOX)
    grid = np.asarray(gray).astype(np.int64)
    frequencies = (_BASIS @ grid @ _BASIS.T).ravel()
    bits = frequencies > np.median(frequencies[1:])
    return np.packbits(bits, bitorder="little").tobytes()[::-1].hex()
