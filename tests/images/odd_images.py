"""Small images of every odd kind, made here byte by byte, and what is to be seen in them."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from image_encoders import (
    BLACK,
    BLUE,
    EXIF_QUARTERS,
    GREEN,
    QUARTERS,
    RED,
    SIZE,
    WHITE,
    Color,
    encode,
    exif,
    four_quarters,
    iccp,
    linear_gray_profile,
    linear_profile,
    long_text_chunks,
    only_cyan_profile,
    png,
    swapped_profile,
    tiff,
)
from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class OddImage:
    """An image file and what is to be seen in it."""

    name: str
    content: bytes
    quarters: Sequence[Color]
    """The colors in the middles of its quarters, row by row, once it is upright."""

    size: tuple[int, int] = SIZE
    """Width and height once it is upright."""


# The images ---------------------------------------------------------------------------------------


def odd_images() -> list[OddImage]:
    """Return one image of each odd kind."""
    return [
        *_profiles(),
        *_gray_profiles(),
        *_other_color_models(),
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
        content=encode(Image.new("RGB", SIZE, (55, 55, 55)), icc_profile=linear_profile()),
        quarters=[middle] * 4,
    )
    yield OddImage(
        name="jpeg, linear profile that is called sRGB",
        content=encode(
            Image.new("RGB", SIZE, (55, 55, 55)), icc_profile=linear_profile(name="Linear sRGB")
        ),
        quarters=[middle] * 4,
    )
    yield OddImage(
        name="jpeg, broken profile",
        content=encode(quarters, icc_profile=b"no profile"),
        quarters=QUARTERS,
    )


def _gray_profiles() -> Iterator[OddImage]:
    middle = (128, 128, 128)
    yield OddImage(
        name="gray jpeg, linear gray profile",
        content=encode(Image.new("L", SIZE, 55), icc_profile=linear_gray_profile()),
        quarters=[middle] * 4,
    )
    yield OddImage(
        name="gray jpeg, a profile for RGB",
        content=encode(Image.new("L", SIZE, 55), icc_profile=linear_profile()),
        quarters=[(55, 55, 55)] * 4,
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
    called_srgb = linear_gray_profile(name="Linear gray, the white of sRGB")
    yield OddImage(
        name="gray png, linear gray profile that names sRGB",
        content=png([(55,)] * 4, depth=8, color_type=0, chunks=[iccp(called_srgb)]),
        quarters=[middle] * 4,
    )


def _other_color_models() -> Iterator[OddImage]:
    middle = (128, 128, 128)
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


def _turned() -> Iterator[OddImage]:
    for orientation, quarters in EXIF_QUARTERS.items():
        for kind in ("JPEG", "PNG", "TIFF"):
            content = encode(four_quarters(), kind, exif=exif(orientation))
            size = (SIZE[1], SIZE[0]) if orientation >= 5 else SIZE
            name = f"{kind.lower()}, orientation {orientation}"
            yield OddImage(name=name, content=content, quarters=quarters, size=size)
    yield OddImage(
        name="jpeg, orientation 6, swapped profile",
        content=encode(four_quarters(), exif=exif(6), icc_profile=swapped_profile()),
        quarters=(RED, BLUE, WHITE, GREEN),
        size=(SIZE[1], SIZE[0]),
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
    gray = encode(Image.new("L", SIZE, 55), icc_profile=linear_gray_profile())
    yield OddImage(
        name="gray jpeg with a linear gray profile and without its end marker",
        content=gray[:-2],
        quarters=[(128, 128, 128)] * 4,
    )
    yield OddImage(
        name="cmyk jpeg without its end marker",
        content=encode(four_quarters(colors=inks, mode="CMYK"))[:-2],
        quarters=[RED, GREEN, BLUE, (127, 127, 127)],
    )
    for kind in ("MPO", "GIF", "WEBP", "TIFF", "PNG"):
        later = [Image.new("RGB", SIZE, color) for color in (BLACK, RED)]
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
