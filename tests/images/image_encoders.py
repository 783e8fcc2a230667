"""Encoders of small images, of which most show four quarters: red, green, blue, white.

Those of JPEG, MPO, GIF, WebP and TIFF are Pillow's; PNGs and color profiles are written out, so
their bytes are the same everywhere.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from openalign.images.forms import StoredForm

Color = tuple[int, int, int]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
BLACK = (0, 0, 0)
QUARTERS = (RED, GREEN, BLUE, WHITE)

EXIF_QUARTERS = {
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (BLUE, RED, WHITE, GREEN),
    7: (WHITE, GREEN, BLUE, RED),
    8: (GREEN, WHITE, RED, BLUE),
}
"""What each EXIF orientation makes of the four quarters."""

SIZE = (48, 32)


# Encoders -----------------------------------------------------------------------------------------


def four_quarters(
    size: tuple[int, int] = SIZE, colors: Sequence[Any] = QUARTERS, mode: str = "RGB"
) -> Image.Image:
    """Return an image whose four quarters have these colors, row by row."""
    width, height = size
    image = Image.new(mode, size, colors[3])
    image.paste(colors[0], (0, 0, width // 2, height // 2))
    image.paste(colors[1], (width // 2, 0, width, height // 2))
    image.paste(colors[2], (0, height // 2, width // 2, height))
    return image


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image file as Pillow writes it."""
    sink = io.BytesIO()
    quality = {"quality": 95, "subsampling": 0} if kind in ("JPEG", "MPO") else {}
    image.save(sink, kind, **(quality | options))
    return sink.getvalue()


def form(**changes: Any) -> StoredForm:
    """Return the form in which fetch stores images by default, with changes."""
    usual: dict[str, Any] = {"resize": "short_side", "size_px": 346, "format": "jpeg"}
    return StoredForm(**(usual | {"quality": 90, "keep_original": False} | changes))


def exif(orientation: int) -> bytes:
    """Return EXIF that tells an orientation and nothing else."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def png(
    quarters: Sequence[Sequence[int]],
    *,
    depth: int,
    color_type: int,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    size: tuple[int, int] = SIZE,
) -> bytes:
    """Return a PNG of four quarters; a pixel is its channels, each of `depth` bits.

    `color_type` is 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha. Below eight bits
    there is one channel, and a quarter's width fills whole bytes.
    """
    width, height = size
    if depth < 8:
        per_byte = 8 // depth
        assert width % (2 * per_byte) == 0
        packed = [[sum(value << depth * at for at in range(per_byte))] for (value,) in quarters]
        return _png(packed, 8, (width // per_byte, height), (width, depth, color_type), chunks)
    return _png(quarters, depth, size, (width, depth, color_type), chunks)


def _png(
    quarters: Sequence[Sequence[int]],
    depth: int,
    size: tuple[int, int],
    said: tuple[int, int, int],
    chunks: Sequence[tuple[bytes, bytes]],
) -> bytes:
    """Return a PNG whose header says another width, depth and color type than its rows are of."""
    width, height = size
    layout = ">" + ("H" if depth == 16 else "B") * len(quarters[0])
    pixels = [struct.pack(layout, *quarter) for quarter in quarters]
    left, right = width // 2, width - width // 2
    upper = b"\0" + pixels[0] * left + pixels[1] * right
    lower = b"\0" + pixels[2] * left + pixels[3] * right
    rows = upper * (height // 2) + lower * (height - height // 2)
    header = struct.pack(">IIBBBBB", said[0], height, said[1], said[2], 0, 0, 0)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in body)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header says that it is large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 10_000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in body)


def tiff(
    quarters: Sequence[bytes],
    *,
    bits: int | Sequence[int],
    photometric: int = 1,
    sample_format: int = 1,
    order: str = "<",
    size: tuple[int, int] = SIZE,
) -> bytes:
    """Return a TIFF of four quarters, of which each is given as the bytes of a pixel (or of two).

    `photometric` is 0 for a gray whose white is zero, 1 for one whose black is, 8 for CIELAB.
    `sample_format` is 1 for whole numbers, 2 for those with a sign, 3 for floats.
    """
    width, height = size
    depths = [bits] if isinstance(bits, int) else list(bits)
    pixel = max(1, len(quarters[0]) * 8 // sum(depths))
    left, right = width // 2 // pixel, (width - width // 2) // pixel
    upper = quarters[0] * left + quarters[1] * right
    lower = quarters[2] * left + quarters[3] * right
    rows = upper * (height // 2) + lower * (height - height // 2)
    entries = [
        (256, width), (257, height), (258, depths), (259, 1), (262, photometric), (273, 8),
        (277, len(depths)), (278, height), (279, len(rows)), (339, [sample_format] * len(depths)),
    ]  # fmt: skip
    behind = 8 + len(rows) + len(rows) % 2
    long_at = behind + 2 + 12 * len(entries) + 4
    table, long = struct.pack(order + "H", len(entries)), b""
    for tag, value in entries:
        if isinstance(value, list):
            shorts = struct.pack(f"{order}{len(value)}H", *value)
            place = shorts if len(shorts) <= 4 else struct.pack(order + "I", long_at + len(long))
            long += shorts if len(shorts) > 4 else b""
            table += struct.pack(order + "HHI", tag, 3, len(value)) + place.ljust(4, b"\0")
        else:
            table += struct.pack(order + "HHII", tag, 4, 1, value)
    begin = b"II*\0" if order == "<" else b"MM\0*"
    rows += b"\0" * (len(rows) % 2)
    return begin + struct.pack(order + "I", behind) + rows + table + b"\0" * 4 + long


def long_text_chunks() -> list[tuple[bytes, bytes]]:
    """Return chunks of a PNG whose text and profile unpack to 2 MB each, more than Pillow takes."""
    packed = zlib.compress(b" " * 2_000_000)
    return [
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
        (b"zTXt", b"Comment\0\0" + packed),
        (b"iCCP", b"profile\0\0" + packed),
    ]


def iccp(profile: bytes) -> tuple[bytes, bytes]:
    """Return the PNG chunk that holds a color profile."""
    return b"iCCP", b"profile\0\0" + zlib.compress(profile)


# Color profiles -----------------------------------------------------------------------------------

# The primaries of sRGB as ICC profiles give them, for D50: their sum is white.
_RED_XYZ, _GREEN_XYZ, _BLUE_XYZ = (
    (0.4360, 0.2225, 0.0139),
    (0.3851, 0.7169, 0.0971),
    (0.1431, 0.0606, 0.7139),
)
_SRGB_NUMBERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_SRGB_CURVE = struct.pack(
    ">4sIHH5i", b"para", 0, 3, 0, *(round(number * 65536) for number in _SRGB_NUMBERS)
)
_LINEAR_CURVE = struct.pack(">4sII", b"curv", 0, 0)


def swapped_profile() -> bytes:
    """Return an RGB profile whose first channel is sRGB's blue and whose third is its red."""
    return _rgb_profile([_BLUE_XYZ, _GREEN_XYZ, _RED_XYZ], _SRGB_CURVE)


def linear_profile(*, name: str = "odd") -> bytes:
    """Return sRGB's profile with straight lines for its curves.

    A linear 55 of 255 is what sRGB calls 128: ((128 / 255 + 0.055) / 1.055) ** 2.4 = 0.2159.
    """
    return _rgb_profile([_RED_XYZ, _GREEN_XYZ, _BLUE_XYZ], _LINEAR_CURVE, name=name)


def linear_gray_profile(*, name: str = "odd") -> bytes:
    """Return the profile of a gray whose values are linear."""
    return _profile(b"GRAY", {b"kTRC": _LINEAR_CURVE}, name=name)


def only_cyan_profile() -> bytes:
    """Return the profile of a printer whose cyan ink is black, and whose other inks are clear."""
    white, black = (struct.pack(">3H", light, 0x8000, 0x8000) for light in (0xFF00, 0))  # Lab
    ends = white * 8 + black * 8  # two grid points an ink; cyan is the slowest to change
    line = struct.pack(">2H", 0, 0xFFFF)
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    head = struct.pack(">4sI4B", b"mft2", 0, 4, 3, 2, 0) + identity + struct.pack(">HH", 2, 2)
    lut = head + line * 4 + ends + line * 3
    return _profile(b"CMYK", {b"A2B0": lut}, kind=b"prtr", pcs=b"Lab ")


def _rgb_profile(
    primaries: Sequence[tuple[float, float, float]], curve: bytes, *, name: str = "odd"
) -> bytes:
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), (_xyz(*xyz) for xyz in primaries), strict=True)
    curves = {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return _profile(b"RGB ", {**dict(columns), **curves}, name=name)


def _profile(
    space: bytes,
    tags: dict[bytes, bytes],
    *,
    kind: bytes = b"mntr",
    pcs: bytes = b"XYZ ",
    name: str = "odd",
) -> bytes:
    text = name.encode("utf-16-be")
    description = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": description, b"wtpt": _xyz(0.9642, 1.0, 0.8249), **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for key, tag in tags.items():
        table += struct.pack(">4sII", key, offset + len(content), len(tag))
        content += tag + b"\0" * (-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s6H4s28x3i48x", offset + len(content), b"", 0x04200000, kind, space, pcs,
        2026, 1, 1, 0, 0, 0, b"acsp", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)),
    )  # fmt: skip
    return header + table + content


def _xyz(*values: float) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(value * 65536) for value in values))
