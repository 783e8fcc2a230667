import io
import re
from typing import Any

import numpy as np
import pytest
from image_encoders import encode, four_quarters
from PIL import Image

from openalign.images.decoding import decode, decode_array
from openalign.images.headers import ImageError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8))
END = b"\xff\xd9"


def is_cut_off(content: bytes) -> bool:
    try:
        decode(content)
    except ImageError as error:
        return error.detail == "JPEG: it ends before its pixels do"
    return False


KINDS = [
    pytest.param(NOISE, {}, id="baseline"),
    pytest.param(NOISE, {"subsampling": "4:2:0"}, id="subsampled"),
    pytest.param(NOISE, {"restart_marker_blocks": 2}, id="with restart markers"),
    pytest.param(NOISE, {"progressive": True}, id="progressive"),
    pytest.param(NOISE.convert("L"), {}, id="gray"),
    pytest.param(NOISE.convert("CMYK"), {}, id="four inks"),
    pytest.param(NOISE.convert("CMYK"), {"progressive": True}, id="four inks, progressive"),
]


@pytest.mark.parametrize(("image", "options"), KINDS)
@pytest.mark.parametrize("behind", [b"", b"\xff", b"\0" * 20], ids=["nothing", "FF", "zeros"])
def test_only_the_end_marker_is_missing(
    image: Image.Image, options: dict[str, Any], behind: bytes
) -> None:
    content = encode(image, **options)
    assert content.endswith(END)

    mended = decode(content.removesuffix(END) + behind)

    np.testing.assert_array_equal(np.asarray(mended), np.asarray(decode(content)))


@pytest.mark.parametrize(("image", "options"), KINDS)
@pytest.mark.parametrize("end", [b"", END], ids=["cut", "cut, with an end marker"])
def test_a_jpeg_that_lacks_one_more_byte_lacks_pixels(
    image: Image.Image, options: dict[str, Any], end: bytes
) -> None:
    """Every cut is tried: the last byte of pixels holds bits of the last block."""
    content = encode(image, **options).removesuffix(END)
    scan = content.index(b"\xff\xda") + 2
    pixels = scan + int.from_bytes(content[scan : scan + 2], "big") + 1
    cuts = [len(content) - 1, *range(pixels, len(content) - 1, 97)]
    assert len(cuts) > 10

    kept = [cut for cut in cuts if not is_cut_off(content[:cut] + end)]

    scans = scan_ends(content)
    assert [cut for cut in kept if not (end and cut in scans)] == []


def scan_ends(content: bytes) -> list[int]:
    """Return where scans end: what is between two of them are tables for the next."""
    starts = [match.start() for match in re.finditer(b"\xff[\xc4\xda\xdb]", content)]
    return starts[1:]


def test_a_progressive_jpeg_that_is_cut_between_two_scans_is_not_whole() -> None:
    """To a decoder it looks whole, only coarse. With an end marker its author meant it so."""
    content = encode(NOISE, progressive=True)
    cuts = scan_ends(content)
    cuts = [cut for cut in cuts if cut > content.index(b"\xff\xda")]
    assert len(cuts) >= 9  # ten scans, as libjpeg writes them

    assert all(is_cut_off(content[:cut]) for cut in cuts)
    assert not any(is_cut_off(content[:cut] + END) for cut in cuts)


def test_an_end_marker_in_a_preview_is_not_the_images() -> None:
    preview = encode(four_quarters((16, 16)))
    segment = b"\xff\xed" + (2 + len(preview)).to_bytes(2, "big") + preview
    content = encode(NOISE)
    held = content[:2] + segment + content[2:]

    assert not is_cut_off(held.removesuffix(END))
    assert is_cut_off(held[: len(held) // 2])


def test_bytes_that_belong_to_nothing_are_passed_over() -> None:
    content = encode(NOISE)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image)

    mended = decode(content[:-2] + b"\0" * 100 + END)

    np.testing.assert_array_equal(np.asarray(mended), expected)


def test_a_jpeg_without_a_scan_is_cut_off() -> None:
    content = encode(NOISE)

    assert is_cut_off(content[: content.index(b"\xff\xda")] + b"\xff\xda\0\2")


# Many scans ---------------------------------------------------------------------------------------


def with_scans(num: int) -> bytes:
    """Return a progressive JPEG with its last scan again and again, `num` scans in all."""
    content = encode(four_quarters(), progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * (num - content.count(b"\xff\xda") + 1) + END


@pytest.mark.parametrize(("num", "is_refused"), [(100, False), (101, True), (5000, True)])
def test_a_jpeg_has_a_hundred_scans_at_most(num: int, *, is_refused: bool) -> None:
    content = with_scans(num)
    assert content.count(b"\xff\xda") == num

    for read in (decode, decode_array):
        if is_refused:
            with pytest.raises(ImageError, match="JPEG: it has more than 100 scans"):
                read(content)
        else:
            read(content)


def test_what_follows_a_jpeg_is_none_of_its_scans() -> None:
    content = encode(four_quarters()) + b"\xff\xda\0\0" * 500

    assert decode(content).size == (48, 32)


def test_a_long_run_of_ff_costs_no_more_than_its_length() -> None:
    """There is no limit of time here: where its bytes were paired, a megabyte took hours."""
    content = encode(four_quarters())
    comment = b"\xff\xda\0\0" * 101
    segment = b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment
    held = content[:2] + b"\xff" * 1_000_000 + b"\0" + segment + content[2:]

    np.testing.assert_array_equal(decode(held), decode(content))


@pytest.mark.parametrize("code", [0x01, 0x02, 0xBF, 0xD8], ids=hex)
def test_scans_do_not_hide_behind_a_marker_that_has_no_length(code: int) -> None:
    """Where it looks for the next restart, libjpeg passes over such a marker alone."""
    content = encode(four_quarters(), progressive=True, restart_marker_blocks=1)
    last = content.rindex(b"\xff\xda")
    scans = b"".join([b"\xff\xda\0\x08\1\1\0\1\x3f\0" + b"\xff\xd0"] * 3000)
    hidden = bytes([0xFF, code]) + (2 + len(scans)).to_bytes(2, "big") + scans
    assert content[last:].count(b"\xff\xd0") > 0

    with pytest.raises(ImageError, match="JPEG: it has more than 100 scans"):
        decode(content[:-2] + hidden + END)
