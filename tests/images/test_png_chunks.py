import io
import struct
import zlib

import numpy as np
import pytest
from image_encoders import (
    QUARTERS,
    encode,
    exif,
    four_quarters,
    iccp,
    linear_profile,
    long_text_chunks,
    png,
    png_chunk,
    swapped_profile,
)
from PIL import Image

from openalign.images import decoding
from openalign.images.headers import ImageError, ImageFault
from openalign.images.png_chunks import read_header, without_metadata


def with_chunk(chunk: bytes, content: bytes | None = None) -> bytes:
    """Return a PNG with a chunk, as it is, behind its first one."""
    content = content or png(QUARTERS, depth=8, color_type=2)
    return content[:33] + chunk + content[33:]


def wrong_checksum(kind: bytes, content: bytes) -> bytes:
    chunk = png_chunk(kind, content)
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def test_the_first_chunk_says_size_bits_and_kind_of_color() -> None:
    assert read_header(png(QUARTERS, depth=8, color_type=2)) == (48, 32, 8, 2)
    assert read_header(png([(0,), (1,), (2,), (3,)], depth=2, color_type=3)) == (48, 32, 2, 3)


def test_a_png_of_image_chunks_alone_is_not_copied() -> None:
    content = png(QUARTERS, depth=8, color_type=2, chunks=[iccp(linear_profile())])

    assert without_metadata(content) is content


@pytest.mark.parametrize(
    "chunk",
    [
        *(pytest.param(png_chunk(*each), id=f"2 MB in {each[0]!r}") for each in long_text_chunks()),
        pytest.param(png_chunk(b"tEXt", b"Comment\0" + b"x" * 2_000_000), id="2 MB of plain text"),
        pytest.param(wrong_checksum(b"tEXt", b"Comment\0x"), id="a damaged text"),
        pytest.param(wrong_checksum(b"pHYs", bytes(9)), id="a damaged resolution"),
        pytest.param(wrong_checksum(b"tRNS", bytes(6)), id="a damaged transparency"),
        pytest.param(wrong_checksum(*iccp(linear_profile())), id="a damaged profile"),
        pytest.param(png_chunk(b"iCCP", b"no profile"), id="no profile"),
        pytest.param(png_chunk(b"iCCP", b"name\0\0no zlib"), id="a profile that is not packed"),
        pytest.param(png_chunk(b"zTXt", b"Comment\0\7broken"), id="a text packed in no known way"),
        pytest.param(png_chunk(b"prIv", bytes(100)), id="a program's own"),
    ],
)
def test_what_is_not_the_image_is_left_out(chunk: bytes) -> None:
    plain = png(QUARTERS, depth=8, color_type=2)

    assert without_metadata(with_chunk(chunk, plain)) == plain


def test_what_changes_the_image_stays() -> None:
    chunks = [iccp(linear_profile()), (b"tRNS", bytes(6)), (b"eXIf", exif(6)[6:])]
    content = png(QUARTERS, depth=8, color_type=2, chunks=chunks)
    commented = with_chunk(png_chunk(b"tEXt", b"Comment\0x"), content)

    assert without_metadata(commented) == content


def test_a_profile_of_one_megabyte_stays_and_a_longer_one_goes() -> None:
    def profile_of(length: int) -> bytes:
        return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(length)))

    for length, stays in ((1 << 20, True), ((1 << 20) + 1, False)):
        content = with_chunk(profile_of(length))
        assert (without_metadata(content) == content) == stays


def test_of_an_animation_the_image_before_it_stays() -> None:
    later = [Image.new("RGB", (48, 32), color) for color in ((9, 9, 9), (8, 8, 8))]
    content = encode(four_quarters(), "PNG", save_all=True, append_images=later)
    assert Image.open(io.BytesIO(content)).n_frames == 3  # pyright: ignore[reportAttributeAccessIssue]

    with Image.open(io.BytesIO(without_metadata(content))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(four_quarters()))


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_damage_of_the_image_itself_is_left_to_the_decoder(kind: bytes) -> None:
    content = png(QUARTERS, depth=8, color_type=2)
    at = content.index(kind) + 6
    damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    assert without_metadata(damaged) is damaged
    with pytest.raises(ImageError) as caught:
        decoding.decode(damaged)
    assert caught.value.reason is ImageFault.DECODE_FAILURE


@pytest.mark.parametrize("cut", range(8, 80))
def test_a_png_that_is_cut_anywhere_is_no_reason_to_fail(cut: int) -> None:
    content = with_chunk(png_chunk(b"tEXt", b"Comment\0x"))[:cut]

    assert content.startswith(without_metadata(content)[:33])


@pytest.mark.parametrize(
    ("color_type", "pixels", "transparency"),
    [
        pytest.param(0, [(0,), (85,), (170,), (255,)], b"\0", id="gray, a byte"),
        pytest.param(2, QUARTERS, b"\0\1", id="RGB, that of gray"),
        pytest.param(2, QUARTERS, b"", id="RGB, nothing"),
        pytest.param(6, [(*color, 255) for color in QUARTERS], bytes(6), id="RGB with alpha"),
    ],
)
def test_a_transparency_that_can_be_none_is_left_out(
    color_type: int, pixels: list[tuple[int, ...]], transparency: bytes
) -> None:
    plain = png(pixels, depth=8, color_type=color_type)
    odd = png(pixels, depth=8, color_type=color_type, chunks=[(b"tRNS", transparency)])

    assert without_metadata(odd) == plain
    np.testing.assert_array_equal(decoding.decode(odd), decoding.decode(plain))


@pytest.mark.parametrize(("num", "is_kept"), [(0, False), (1, True), (4, True), (5, False)])
def test_a_transparency_is_of_no_more_colors_than_there_are(num: int, *, is_kept: bool) -> None:
    palette = (b"PLTE", bytes(np.ravel(QUARTERS).tolist()))
    chunks = [palette, (b"tRNS", bytes(num))]
    content = png([(0,), (1,), (2,), (3,)], depth=8, color_type=3, chunks=chunks)

    assert (without_metadata(content) is content) is is_kept
    assert decoding.decode(content).getpixel((1, 1)) == (
        (255, 255, 255) if is_kept else (255, 0, 0)
    )


def ended_early(
    rows: bytes, *, height: int, interlaced: int = 0, checksum: bytes | None = None
) -> bytes:
    """Return a gray PNG of eight columns whose data are these rows, in good order.

    `checksum` takes the place of that behind the rows.
    """
    header = struct.pack(">IIBBBBB", 8, height, 8, 0, 0, 0, interlaced)
    packed = zlib.compress(rows)
    if checksum is not None:
        packed = packed[:-4] + checksum
    chunks = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


ROW = b"\0" + b"\7" * 8
BLACK_ROW = bytes(9)
# Rows of the seven passes over 8 x 8 pixels.
SEVEN = (b"\0\7" * 2 + b"\0\7\7" + b"\0\7\7" * 2 + b"\0\7\7\7\7" * 2) + b"\0\7\7\7\7" * 4 + ROW * 4

# Of the passes over a single row: the first, second, fourth and sixth.
ONE_ROW = b"\0\7" * 2 + b"\0\7\7" + b"\0" + b"\7" * 4


@pytest.mark.parametrize(
    ("content", "is_whole"),
    [
        pytest.param(ended_early(ROW * 4, height=4), True, id="whole"),
        pytest.param(ended_early(ROW * 3 + BLACK_ROW, height=4), True, id="its last row black"),
        pytest.param(ended_early(BLACK_ROW * 4, height=4), True, id="black"),
        pytest.param(ended_early(ROW * 9, height=4), True, id="more than it needs"),
        pytest.param(
            ended_early(ROW * 3 + BLACK_ROW + ROW * 5, height=4, checksum=bytes(4)),
            True,
            id="its last row black, more than it needs, and a wrong checksum",
        ),
        pytest.param(ended_early(ROW * 4, height=4, checksum=b"x" * 4), True, id="its checksum"),
        pytest.param(
            ended_early(ROW * 3, height=4, checksum=b"x" * 4), False, id="its checksum and a row"
        ),
        pytest.param(
            ended_early(b"\x09" + ROW[1:] + ROW * 3, height=4, checksum=b"x" * 4),
            False,
            id="its checksum and a filter that is none",
        ),
        pytest.param(
            ended_early(SEVEN, height=8, interlaced=1, checksum=b"x" * 4),
            True,
            id="interlaced, its checksum",
        ),
        pytest.param(ended_early(ROW * 3, height=4), False, id="a row missing"),
        pytest.param(ended_early(ROW * 2, height=4), False, id="half"),
        pytest.param(ended_early(SEVEN, height=8, interlaced=1), True, id="interlaced"),
        pytest.param(
            ended_early(SEVEN[:-9], height=8, interlaced=1), False, id="interlaced, a row missing"
        ),
        pytest.param(
            ended_early(ONE_ROW, height=1, interlaced=1), True, id="interlaced, of one row"
        ),
        pytest.param(
            ended_early(ONE_ROW[:4], height=1, interlaced=1),
            False,
            id="interlaced, of one row, a pass missing",
        ),
    ],
)
def test_data_that_end_early_leave_no_black_rows(content: bytes, *, is_whole: bool) -> None:
    if is_whole:
        assert decoding.decode(content).size[0] == 8
        return
    with pytest.raises(
        ImageError, match=r"PNG: (it ends before its pixels do|its pixels are damaged)"
    ):
        decoding.decode(content)


def test_pixels_and_what_changes_them_stay_where_only_the_checksum_is_wrong() -> None:
    chunks = [iccp(swapped_profile()), (b"eXIf", exif(6))]
    content = png(QUARTERS, depth=16, color_type=2, chunks=chunks)
    start, behind = content.index(b"IDAT"), content.index(b"IEND") - 4
    data = content[start + 4 : behind - 8] + b"xxxx"
    wrong = content[: start - 4] + png_chunk(b"IDAT", data) + content[behind:]

    assert len(wrong) == len(content)
    np.testing.assert_array_equal(decoding.decode(wrong), decoding.decode(content))
    with pytest.raises(OSError, match="broken"):
        Image.open(io.BytesIO(wrong)).load()


def test_a_png_of_palette_colors_without_a_palette_is_refused() -> None:
    with pytest.raises(ImageError, match="PNG: its pixels are damaged"):
        decoding.decode(png([(0,), (1,), (2,), (3,)], depth=8, color_type=3))


@pytest.mark.parametrize("kind", [b"iCCP", b"eXIf", b"tRNS"])
def test_of_each_kind_the_first_that_is_whole_counts(kind: bytes) -> None:
    """To unpack each of thousands of profiles would take minutes."""
    first = {b"iCCP": iccp(linear_profile())[1], b"eXIf": exif(6), b"tRNS": bytes(6)}[kind]
    other = {b"iCCP": iccp(swapped_profile())[1], b"eXIf": exif(3), b"tRNS": b"\0\1" * 3}[kind]

    once, often = (
        png(QUARTERS, depth=8, color_type=2, chunks=[(kind, each) for each in chunks])
        for chunks in ([first], [first, other, other])
    )

    assert without_metadata(often) == without_metadata(once)
    start = 33  # behind the header's chunk, which ends with its checksum
    damaged = png_chunk(kind, other)[:-1] + b"?"
    assert without_metadata(once[:start] + damaged + once[start:]) == without_metadata(once)


def test_exif_longer_than_a_jpegs_is_left_out() -> None:
    """Its tags may share their bytes: 4,000 of 300 kB would be copied as a gigabyte."""
    content = png(QUARTERS, depth=8, color_type=2, chunks=[(b"eXIf", exif(6) + bytes(1 << 16))])

    assert without_metadata(content) == png(QUARTERS, depth=8, color_type=2)
