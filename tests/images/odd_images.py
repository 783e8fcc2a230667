"""Small images of every odd kind, made here byte by byte, and what is to be seen in them.

Most show four quarters: red, green, blue, white. The encoders of JPEG, MPO, GIF, WebP and TIFF are
Pillow's; PNGs and color profiles are written out, so their bytes are the same everywhere.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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

_SIZE = (48, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class OddImage:
    """An image file and what is to be seen in it."""

    name: str
    content: bytes
    quarters: Sequence[Color]
    """The colors in the middles of its quarters, row by row, once it is upright."""

    size: tuple[int, int] = _SIZE
    """Width and height once it is upright."""


# Encoders -----------------------------------------------------------------------------------------


def four_quarters(
    size: tuple[int, int] = _SIZE, colors: Sequence[Any] = QUARTERS, mode: str = "RGB"
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
    size: tuple[int, int] = _SIZE,
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
    size: tuple[int, int] = _SIZE,
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


def linear_profile() -> bytes:
    """Return sRGB's profile with straight lines for its curves.

    A linear 55 of 255 is what sRGB calls 128: ((128 / 255 + 0.055) / 1.055) ** 2.4 = 0.2159.
    """
    return _rgb_profile([_RED_XYZ, _GREEN_XYZ, _BLUE_XYZ], _LINEAR_CURVE)


def linear_gray_profile() -> bytes:
    """Return the profile of a gray whose values are linear."""
    return _profile(b"GRAY", {b"kTRC": _LINEAR_CURVE})


def only_cyan_profile() -> bytes:
    """Return the profile of a printer whose cyan ink is black, and whose other inks are clear."""
    white, black = (struct.pack(">3H", light, 0x8000, 0x8000) for light in (0xFF00, 0))  # Lab
    ends = white * 8 + black * 8  # two grid points an ink; cyan is the slowest to change
    line = struct.pack(">2H", 0, 0xFFFF)
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    head = struct.pack(">4sI4B", b"mft2", 0, 4, 3, 2, 0) + identity + struct.pack(">HH", 2, 2)
    lut = head + line * 4 + ends + line * 3
    return _profile(b"CMYK", {b"A2B0": lut}, kind=b"prtr", pcs=b"Lab ")


def _rgb_profile(primaries: Sequence[tuple[float, float, float]], curve: bytes) -> bytes:
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), (_xyz(*xyz) for xyz in primaries), strict=True)
    return _profile(b"RGB ", {**dict(columns), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def _profile(
    space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", pcs: bytes = b"XYZ "
) -> bytes:
    name = "odd".encode("utf-16-be")
    description = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(name), 28) + name
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


# The images ---------------------------------------------------------------------------------------


def odd_images() -> list[OddImage]:
    """Return one image of each odd kind."""
    return [
        *_profiles(),
        *_turned(),
        *_depths_and_alpha(),
        *_wide_samples(),
        *_transparent_values(),
        *_containers(),
        *_sizes(),
    ]


def _profiles() -> Iterator[OddImage]:
    swapped, middle = swapped_profile(), (128, 128, 128)
    blue_first = (BLUE, GREEN, RED, WHITE)
    quarters = four_quarters()
    yield OddImage(
        name="jpeg, swapped profile",
        content=encode(quarters, icc_profile=swapped),
        quarters=blue_first,
    )
    yield OddImage(
        name="png, swapped profile",
        content=png(QUARTERS, depth=8, color_type=2, chunks=[iccp(swapped)]),
        quarters=blue_first,
    )
    yield OddImage(
        name="png with alpha, swapped profile",
        content=png(
            [(*RED, 255), (*GREEN, 255), (*BLUE, 255), (*BLACK, 0)],
            depth=8,
            color_type=6,
            chunks=[iccp(swapped)],
        ),
        quarters=blue_first,
    )
    yield OddImage(
        name="palette, swapped profile",
        content=png(
            [(0,), (1,), (2,), (3,)],
            depth=8,
            color_type=3,
            chunks=[iccp(swapped), (b"PLTE", bytes(np.ravel(QUARTERS).tolist()))],
        ),
        quarters=blue_first,
    )
    yield OddImage(
        name="jpeg, linear profile",
        content=encode(Image.new("RGB", _SIZE, (55, 55, 55)), icc_profile=linear_profile()),
        quarters=[middle] * 4,
    )
    yield OddImage(
        name="gray png, linear gray profile",
        content=png([(55,)] * 4, depth=8, color_type=0, chunks=[iccp(linear_gray_profile())]),
        quarters=[middle] * 4,
    )
    yield OddImage(
        name="gray png, a profile for RGB",
        content=png([(55,)] * 4, depth=8, color_type=0, chunks=[iccp(linear_profile())]),
        quarters=[(55, 55, 55)] * 4,
    )
    inks = [(255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255)]
    yield OddImage(
        name="gray png with alpha, linear gray profile",
        content=png(
            [(55, 255), (55, 0), (255, 255), (0, 255)],
            depth=8,
            color_type=4,
            chunks=[iccp(linear_gray_profile())],
        ),
        quarters=[middle, WHITE, WHITE, BLACK],
    )
    yield OddImage(
        name="cielab tiff",
        content=tiff(
            # Lightness in 255 steps, a and b as bytes with signs. The colors are CIE's formulas
            # for D50, then sRGB's matrix and curve.
            [
                struct.pack(">B2b", *lab)
                for lab in ((137, 0, 0), (150, 40, 0), (150, 0, -40), (150, -40, 30))
            ],
            bits=(8, 8, 8),
            photometric=8,
        ),
        quarters=[middle, (205, 112, 143), (102, 144, 212), (70, 159, 85)],
    )
    yield OddImage(
        name="cmyk jpeg, a profile of which only cyan shows",
        content=encode(four_quarters(colors=inks, mode="CMYK"), icc_profile=only_cyan_profile()),
        quarters=[BLACK, WHITE, WHITE, WHITE],
    )
    yield OddImage(
        name="jpeg, broken profile",
        content=encode(quarters, icc_profile=b"no profile"),
        quarters=QUARTERS,
    )


def _turned() -> Iterator[OddImage]:
    for orientation, quarters in EXIF_QUARTERS.items():
        for kind in ("JPEG", "PNG", "TIFF"):
            content = encode(four_quarters(), kind, exif=exif(orientation))
            size = (_SIZE[1], _SIZE[0]) if orientation >= 5 else _SIZE
            name = f"{kind.lower()}, orientation {orientation}"
            yield OddImage(name=name, content=content, quarters=quarters, size=size)
    yield OddImage(
        name="jpeg, orientation 6, swapped profile",
        content=encode(four_quarters(), exif=exif(6), icc_profile=swapped_profile()),
        quarters=(RED, BLUE, WHITE, GREEN),
        size=(_SIZE[1], _SIZE[0]),
    )


def _depths_and_alpha() -> Iterator[OddImage]:
    grays = [(0, 0, 0), (85, 85, 85), (170, 170, 170), WHITE]
    yield OddImage(
        name="gray png of 16 bits",
        content=png([(0x0000,), (0x55FF,), (0xAA00,), (0xFFFF,)], depth=16, color_type=0),
        quarters=grays,
    )
    yield OddImage(
        name="gray tiff of 16 bits",
        content=encode(
            Image.fromarray(
                np.kron(
                    np.array([[0x0000, 0x55FF], [0xAA00, 0xFFFF]], dtype=np.uint16),
                    np.ones((16, 24), dtype=np.uint16),
                )
            ),
            "TIFF",
        ),
        quarters=grays,
    )
    deep = [tuple(channel * 257 for channel in color) for color in QUARTERS]
    yield OddImage(
        name="rgb png of 16 bits", content=png(deep, depth=16, color_type=2), quarters=QUARTERS
    )
    yield OddImage(
        name="gray png with alpha",
        content=png([(0, 255), (0, 128), (85, 255), (85, 0)], depth=8, color_type=4),
        quarters=[BLACK, (127, 127, 127), (85, 85, 85), WHITE],
    )
    yield OddImage(
        name="gray png with alpha of 16 bits",
        content=png([(0, 65535), (0, 0), (0x55FF, 65535), (0, 0)], depth=16, color_type=4),
        quarters=[BLACK, WHITE, (85, 85, 85), WHITE],
    )
    yield OddImage(
        name="palette with transparency",
        content=png(
            [(0,), (1,), (2,), (3,)],
            depth=8,
            color_type=3,
            chunks=[
                (b"PLTE", bytes([*RED, *GREEN, *BLUE, *BLACK])),
                (b"tRNS", bytes([255, 255, 255, 0])),
            ],
        ),
        quarters=QUARTERS,
    )
    yield OddImage(
        name="rgb png, one color transparent",
        content=png(
            [RED, GREEN, BLUE, BLACK],
            depth=8,
            color_type=2,
            chunks=[(b"tRNS", struct.pack(">3H", *BLACK))],
        ),
        quarters=QUARTERS,
    )


def _wide_samples() -> Iterator[OddImage]:
    steps = [(0, 0, 0), (64, 64, 64), (128, 128, 128), WHITE]
    cases: list[tuple[str, str, list[float], dict[str, Any]]] = [
        ("16 bits, big-endian", ">H", [0, 64 << 8, 128 << 8, 65535], {"order": ">"}),
        ("16 bits, white is 0", "<H", [65535, 191 << 8, 127 << 8, 0], {"photometric": 0}),
        ("16 bits with a sign", "<h", [-5, 64, 128, 255], {"sample_format": 2}),
        ("32 bits", "<I", [0, 64 << 24, 128 << 24, 0xFFFFFFFF], {}),
        ("32 bits with 16-bit values", "<I", [0, 64 << 8, 128 << 8, 65535], {}),
        ("32 bits with 8-bit values", "<I", [0, 64, 128, 255], {}),
        ("32 bits with a sign", "<i", [-1, 64 << 8, 128 << 8, 65535], {"sample_format": 2}),
        ("floats up to 1", "<f", [0, 0.251, 0.502, 1], {"sample_format": 3}),
        ("floats up to 255", "<f", [0, 64, 128, 255], {"sample_format": 3}),
        ("floats up to 65535", "<f", [0, 16448, 32896, 65535], {"sample_format": 3}),
        ("floats, big-endian", ">f", [0, 0.251, 0.502, 1], {"sample_format": 3, "order": ">"}),
        ("floats, white is 0", "<f", [1, 0.749, 0.498, 0], {"sample_format": 3, "photometric": 0}),
        ("no numbers", "<f", [float("nan"), 0.251, 0.502, float("inf")], {"sample_format": 3}),
    ]
    for name, layout, values, options in cases:
        pixels = [struct.pack(layout, value) for value in values]
        bits = 8 * len(pixels[0])
        yield OddImage(
            name=f"gray tiff: {name}", content=tiff(pixels, bits=bits, **options), quarters=steps
        )
    # Two samples of 12 bits in three bytes: 0x000, 0x40F, 0x80F, 0xFFF.
    twelve = [b"\0\0\0", b"\x40\xf4\x0f", b"\x80\xf8\x0f", b"\xff\xff\xff"]
    yield OddImage(name="gray tiff: 12 bits", content=tiff(twelve, bits=12), quarters=steps)


def _transparent_values() -> Iterator[OddImage]:
    """Yield PNGs in which one value is transparent, beside values that only resemble it."""
    for depth, values, seen in (
        (1, (0, 1, 1, 0), (0, 255, 255, 0)),
        (2, (0, 1, 2, 3), (0, 255, 170, 255)),
        (4, (0, 1, 15, 10), (0, 255, 255, 170)),
        (8, (0, 1, 255, 10), (0, 255, 255, 10)),
        (16, (0x0000, 0x0001, 0x0102, 0x0002), (0, 255, 1, 0)),
    ):
        yield OddImage(
            name=f"gray png of {depth} bits, the value 1 transparent",
            content=png(
                [(value,) for value in values],
                depth=depth,
                color_type=0,
                chunks=[(b"tRNS", struct.pack(">H", 1))],
            ),
            quarters=[(gray, gray, gray) for gray in seen],
        )
    clear = (0x1234, 0x0001, 0xFF00)
    yield OddImage(
        name="rgb png of 16 bits, one color transparent",
        content=png(
            [clear, (0x1234, 0x0002, 0xFF00), (0x1200, 0x0001, 0xFF00), (0x12FF, 0, 0xFFFF)],
            depth=16,
            color_type=2,
            chunks=[(b"tRNS", struct.pack(">3H", *clear))],
        ),
        quarters=[WHITE, (0x12, 0, 0xFF), (0x12, 0, 0xFF), (0x12, 0, 0xFF)],
    )
    yield OddImage(
        name="palette of 2 bits with transparency",
        content=png(
            [(0,), (1,), (2,), (3,)],
            depth=2,
            color_type=3,
            chunks=[(b"PLTE", bytes([*RED, *GREEN, *BLUE, *BLACK])), (b"tRNS", b"\xff\xff\xff\0")],
        ),
        quarters=QUARTERS,
    )


def _containers() -> Iterator[OddImage]:
    inks = [(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 128)]
    yield OddImage(
        name="cmyk jpeg, inverted as Adobe does",
        content=encode(four_quarters(colors=inks, mode="CMYK")),
        quarters=[RED, GREEN, BLUE, (127, 127, 127)],
    )
    yield OddImage(
        name="cmyk tiff",
        content=encode(four_quarters(colors=inks, mode="CMYK"), "TIFF"),
        quarters=[RED, GREEN, BLUE, (127, 127, 127)],
    )
    yield OddImage(
        name="progressive jpeg",
        content=encode(four_quarters(), progressive=True),
        quarters=QUARTERS,
    )
    yield OddImage(
        name="gray jpeg",
        content=encode(four_quarters(colors=[0, 85, 170, 255], mode="L")),
        quarters=[BLACK, (85, 85, 85), (170, 170, 170), WHITE],
    )
    yield OddImage(
        name="png with 2 MB of text and a profile of 2 MB",
        content=png(QUARTERS, depth=8, color_type=2, chunks=long_text_chunks()),
        quarters=QUARTERS,
    )
    for name, progressive in (("jpeg", False), ("progressive jpeg", True)):
        yield OddImage(
            name=f"{name} without its end marker",
            content=encode(four_quarters(), progressive=progressive)[:-2],
            quarters=QUARTERS,
        )
    yield OddImage(
        name="cmyk jpeg without its end marker",
        content=encode(four_quarters(colors=inks, mode="CMYK"))[:-2],
        quarters=[RED, GREEN, BLUE, (127, 127, 127)],
    )
    for kind in ("MPO", "GIF", "WEBP", "TIFF", "PNG"):
        later = [Image.new("RGB", _SIZE, color) for color in (BLACK, RED)]
        lossless = {"lossless": True} if kind == "WEBP" else {}
        yield OddImage(
            name=f"{kind.lower()} of three frames",
            content=encode(four_quarters(), kind, save_all=True, append_images=later, **lossless),
            quarters=QUARTERS,
        )


def _sizes() -> Iterator[OddImage]:
    for kind in ("JPEG", "PNG"):
        for size in ((1, 1), (3, 7), (7, 3), (641, 427), (427, 641)):
            quarters = QUARTERS if min(size) > 7 else [RED] * 4
            yield OddImage(
                name=f"{kind.lower()} of {size[0]} x {size[1]}",
                content=encode(four_quarters(size, quarters), kind),
                quarters=quarters,
                size=size,
            )
