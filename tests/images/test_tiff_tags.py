"""TIFFs that Pillow reads wrongly without a word; their pixels are those written here."""

import struct
import zlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
from image_encoders import encode, four_quarters
from PIL import Image, TiffImagePlugin

from openalign.images.decoding import decode
from openalign.images.headers import ImageError

Entry = tuple[int, int, Sequence[int]]


def tiff_of(
    pieces: Sequence[bytes], entries: Sequence[Entry], *, order: str = "<", compression: int = 1
) -> bytes:
    """Return a TIFF of strips; an entry is a tag, its type (3, 4) and its values."""
    offsets = [8 + sum(len(piece) for piece in pieces[:number]) for number in range(len(pieces))]
    strips = (273, 4, offsets), (279, 4, [len(piece) for piece in pieces])
    all_entries = sorted([*entries, (259, 3, [compression]), *strips])
    body = b"".join(pieces)
    long_at = 8 + len(body) + 2 + 12 * len(all_entries) + 4
    table, long = struct.pack(order + "H", len(all_entries)), b""
    for tag, kind, values in all_entries:
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place = struct.pack(order + "I", long_at + len(long))
            long += packed
        table += struct.pack(order + "HHI", tag, kind, len(values)) + place
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8 + len(body)) + body + table + b"\0" * 4 + long


def shape(width: int, height: int, bits: Sequence[int], photometric: int) -> list[Entry]:
    return [
        (256, 3, [width]),
        (257, 3, [height]),
        (258, 3, bits),
        (262, 3, [photometric]),
        (277, 3, [len(bits)]),
    ]


COLORS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("rows", [6, 2], ids=["one strip a plane", "three strips a plane"])
def test_planes_of_16_bits_are_read_as_they_are(order: str, rows: int) -> None:
    deep = (COLORS.astype(np.uint16) * 257).astype(order + "u2")
    pieces = [
        deep[top : top + rows, :, channel].tobytes()
        for channel in range(3)
        for top in range(0, 6, rows)
    ]
    entries = [*shape(8, 6, [16] * 3, 2), (278, 3, [rows]), (284, 3, [2])]

    np.testing.assert_array_equal(decode(tiff_of(pieces, entries, order=order)), COLORS)


@pytest.mark.parametrize("num_strips", [1, 2])
def test_an_image_whose_strips_are_not_all_there_is_refused(num_strips: int) -> None:
    strips = [COLORS[top : top + 2].tobytes() for top in (0, 2, 4)]
    entries = [*shape(8, 6, [8] * 3, 2), (278, 3, [2])]

    np.testing.assert_array_equal(decode(tiff_of(strips, entries)), COLORS)
    with pytest.raises(ImageError, match="TIFF: it ends before its pixels do"):
        decode(tiff_of(strips[:num_strips], entries))


@pytest.mark.parametrize("by", [257, 1], ids=["16 bits", "8 bits"])
def test_a_palette_may_hold_values_of_8_bits(by: int) -> None:
    palette = np.zeros((3, 256), dtype=int)
    palette[:, :4] = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 99, 199)]).T
    indices = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    entries = [*shape(2, 2, [8], 3), (320, 3, (palette * by).ravel().tolist())]

    colors = np.asarray(decode(tiff_of([indices.tobytes()], entries)))

    np.testing.assert_array_equal(colors, palette.T[indices])


def test_the_number_of_strips_is_that_of_the_image_before_it_is_turned() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    content = encode(four_quarters((48, 20)), "TIFF", compression="tiff_lzw", exif=tags)

    assert decode(content).size == (20, 48)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8, 32773], ids=["none", "deflate", "packbits"])
@pytest.mark.parametrize(
    ("kind", "sample_format"),
    [("u2", 1), ("i2", 2), ("i4", 2), ("f4", 3)],
    ids=["whole numbers", "16 bits with a sign", "32 bits with a sign", "floats"],
)
def test_samples_are_in_the_order_that_the_file_says(
    order: str, compression: int, kind: str, sample_format: int
) -> None:
    values = np.array([[0, 85, 170, 255]] * 2, order + kind)
    samples = (values * 257 if kind == "u2" else values).tobytes()
    packed = {
        1: samples,
        8: zlib.compress(samples),
        32773: b"".join(bytes([len(row) - 1]) + row for row in _halves(samples)),
    }
    entries = [
        *((256, 4, [4]), (257, 4, [2]), (258, 3, [8 * values.itemsize]), (262, 3, [1])),
        *((277, 3, [1]), (278, 4, [2]), (339, 3, [sample_format])),
    ]
    content = tiff_of([packed[compression]], entries, order=order, compression=compression)

    assert np.asarray(decode(content))[..., 0].tolist() == [[0, 85, 170, 255]] * 2


def _halves(samples: bytes) -> list[bytes]:
    """Return two rows: PackBits packs each alone."""
    return [samples[: len(samples) // 2], samples[len(samples) // 2 :]]


def tags_of(
    entries: Sequence[tuple[int, int, int]], *, order: str = "<", is_big: bool = False
) -> bytes:
    """Return a TIFF whose entries, each a tag, its kind and a number, share the bytes behind."""
    begin = b"MM" if order == ">" else b"II"
    head = struct.pack(order + "2sHIH", begin, 42, 8, len(entries))
    row, at = order + "HHII", 8
    if is_big:
        head = struct.pack(order + "2sHHHQQ", begin, 43, 8, 0, 16, len(entries))
        row, at = order + "HHQQ", 16
    return head + b"".join(struct.pack(row, *entry, at) for entry in entries) + bytes(1_300_000)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([(273, 4, 600_000)], id="strips"),
        pytest.param([(324, 3, 600_000)], id="tiles"),
        pytest.param([(65000, 7, 1)] * 5_000 + [(273, 4, 600_000)], id="behind many others"),
        pytest.param([(282, 5, 600_000)], id="fractions"),
        pytest.param([(65000, 7, 1_000_000)] * 100, id="the same bytes a hundred times"),
    ],
)
@pytest.mark.parametrize(
    ("order", "is_big"), [("<", False), (">", False), ("<", True)], ids=["II", "MM", "BigTIFF"]
)
def test_tags_of_too_many_values_are_refused_before_they_are_read(
    entries: list[tuple[int, int, int]],
    order: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_big: bool,
) -> None:
    """Pillow takes seconds for millions of values, and a copy of the bytes of each tag."""
    monkeypatch.setattr(Image, "open", None)

    with pytest.raises(ImageError, match="so many values"):
        decode(tags_of(entries, order=order, is_big=is_big))


def test_the_version_of_a_big_tiff_is_where_pillow_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`MM`, 0, 43 is no BigTIFF to Pillow, which takes four bytes behind it for a place."""
    monkeypatch.setattr(Image, "open", None)
    entry = struct.pack(">HHHII", 1, 273, 4, 600_000, 8)
    content = struct.pack(">2sHIQ", b"MM", 43, 16, 1 << 60) + entry + bytes(2_400_000)

    with pytest.raises(ImageError, match="so many values"):
        decode(content)


def test_nothing_is_set_that_other_threads_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one thread stores must not depend on what another one decodes."""
    was_set = list[str]()

    class Watched(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            was_set.append(name)
            super().__setattr__(name, value)

    planes = [(COLORS[..., channel].astype("<u2") * 257).tobytes() for channel in range(3)]
    content = tiff_of(planes, [*shape(8, 6, [16] * 3, 2), (284, 3, [2])])
    with monkeypatch.context() as patch:
        patch.setattr(TiffImagePlugin, "__class__", Watched)
        was_set.clear()

        np.testing.assert_array_equal(decode(content), COLORS)
        assert was_set == []
