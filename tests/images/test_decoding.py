import io
import struct

import numpy as np
import pytest
import simplejpeg
from image_encoders import encode, exif, form, four_quarters, png, png_that_claims, swapped_profile
from PIL import Image, ImageOps

from openalign.images.decoding import JpegScales, Policy, decode, decode_array, thumbnail
from openalign.images.headers import ImageError, ImageFault, read_size
from openalign.images.stored import store


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Return an image that differs from pixel to pixel, though smoothly."""
    width, height = size
    shape = (max(1, height // 8), max(1, width // 8), 3)
    grid = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC).convert(mode)


def fault(content: bytes) -> ImageFault:
    with pytest.raises(ImageError) as caught:
        decode(content)
    return caught.value.reason


# JPEG at a reduced scale --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scales", "min_side_px", "expected"),
    [
        pytest.param(JpegScales.EIGHTHS, 0, (641, 427), id="all pixels"),
        pytest.param(JpegScales.HALVES, 0, (641, 427), id="all pixels by halves"),
        # 427 * 7 / 8 = 373.6, 427 * 6 / 8 = 320.3; sides are rounded up.
        pytest.param(JpegScales.EIGHTHS, 322, (561, 374), id="seven eighths"),
        pytest.param(JpegScales.EIGHTHS, 321, (481, 321), id="six eighths"),
        pytest.param(JpegScales.EIGHTHS, 427, (641, 427), id="as large as asked for"),
        pytest.param(JpegScales.EIGHTHS, 500, (641, 427), id="smaller than asked for"),
        # 427 / 2 = 213.5, 427 / 4 = 106.75, 427 / 8 = 53.4: whole numbers count.
        pytest.param(JpegScales.HALVES, 321, (641, 427), id="no eighths among the halves"),
        pytest.param(JpegScales.HALVES, 214, (641, 427), id="just above a half"),
        pytest.param(JpegScales.HALVES, 213, (321, 214), id="a half"),
        pytest.param(JpegScales.HALVES, 106, (161, 107), id="a quarter"),
        pytest.param(JpegScales.HALVES, 53, (81, 54), id="an eighth"),
        pytest.param(JpegScales.HALVES, 1, (81, 54), id="an eighth is the least"),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_large_enough(
    scales: JpegScales, min_side_px: int, expected: tuple[int, int]
) -> None:
    content = encode(noise((641, 427)))

    assert decode(content, min_side_px=min_side_px, scales=scales).size == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (9, 9), (97, 97), (641, 427), (427, 641)])
@pytest.mark.parametrize("min_side_px", [4, 24, 96])
def test_by_halves_the_pixels_are_those_of_pillows_draft(
    mode: str, subsampling: str, size: tuple[int, int], min_side_px: int
) -> None:
    content = encode(noise(size, mode), quality=75, subsampling=subsampling)
    with Image.open(io.BytesIO(content)) as slow:
        slow.draft("RGB", (min_side_px, min_side_px))
        expected = np.asarray(slow.convert("RGB"))

    image = decode(content, min_side_px=min_side_px, scales=JpegScales.HALVES)
    array = decode_array(content, min_side_px=min_side_px, scales=JpegScales.HALVES)

    np.testing.assert_array_equal(np.asarray(image), expected)
    np.testing.assert_array_equal(array, expected)


def test_a_jpeg_that_the_fast_decoder_warns_of_is_decoded_by_the_other() -> None:
    content = encode(four_quarters((64, 64)))
    doubtful = content[:-2] + b"\0" * 100 + content[-2:]  # extraneous bytes before the end
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(doubtful, "RGB")

    image = decode(doubtful, min_side_px=16, scales=JpegScales.HALVES)

    assert image.size == (16, 16)
    np.testing.assert_allclose(np.asarray(image)[3, 3], (255, 0, 0), atol=5)


def test_of_an_mpo_the_first_frame_is_decoded_at_a_reduced_scale() -> None:
    later = Image.new("RGB", (64, 64))
    content = encode(four_quarters((64, 64)), "MPO", save_all=True, append_images=[later])

    image = decode(content, min_side_px=16)

    assert image.size == (16, 16)
    np.testing.assert_allclose(np.asarray(image)[3, 3], (255, 0, 0), atol=5)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_other_formats_are_decoded_whole(kind: str) -> None:
    assert decode(encode(four_quarters(), kind), min_side_px=8).size == (48, 32)


# What is taken and refused ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO", "JPEG2000"])
def test_formats_that_the_web_does_not_have_are_decoded_from_a_users_own_files(kind: str) -> None:
    image = decode(encode(four_quarters((48, 48)), kind))

    assert image.mode == "RGB"
    np.testing.assert_allclose(np.asarray(image)[4, 4], (255, 0, 0), atol=5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", ImageFault.NOT_AN_IMAGE, id="nothing"),
        pytest.param(b"<html>not found</html>", ImageFault.NOT_AN_IMAGE, id="a page"),
        pytest.param(
            encode(noise((64, 64)), "PNG")[:900], ImageFault.DECODE_FAILURE, id="a PNG cut off"
        ),
        pytest.param(encode(noise((64, 64)))[:900], ImageFault.DECODE_FAILURE, id="a JPEG cut off"),
        pytest.param(
            png_that_claims(50_000, 50_000), ImageFault.TOO_MANY_PIXELS, id="beyond any bound"
        ),
    ],
)
def test_what_gives_no_pixels_says_why(content: bytes, expected: ImageFault) -> None:
    assert fault(content) is expected


# Colors, exactly ----------------------------------------------------------------------------------


def test_what_is_half_transparent_is_mixed_with_white() -> None:
    """A channel of value v and alpha a becomes v * a / 255 + 255 - a, rounded."""
    content = png(
        [(0, 0, 0, 128), (255, 0, 0, 128), (100, 100, 100, 51), (7, 8, 9, 0)],
        depth=8,
        color_type=6,
        size=(2, 2),
    )

    pixels = np.asarray(decode(content)).tolist()

    # 0 + 127; 128 + 127 and 127; 20 + 204; white.
    assert pixels == [[[127] * 3, [255, 127, 127]], [[224] * 3, [255] * 3]]


def test_of_sixteen_bits_the_high_byte_is_taken() -> None:
    values = [(0x00FF,), (0x0100,), (0x7FFF,), (0x8000,)]

    pixels = np.asarray(decode(png(values, depth=16, color_type=0, size=(2, 2))))

    assert pixels[:, :, 0].tolist() == [[0, 1], [127, 128]]


def test_a_gray_that_is_transparent_by_name_becomes_white() -> None:
    content = png(
        [(10,), (20,), (30,), (40,)],
        depth=8,
        color_type=0,
        chunks=[(b"tRNS", struct.pack(">H", 20))],
        size=(2, 2),
    )

    assert np.asarray(decode(content))[:, :, 0].tolist() == [[10, 255], [30, 40]]


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_is_what_pillow_makes_of_it(orientation: int) -> None:
    content = encode(noise((31, 17)), "PNG", exif=exif(orientation))
    with Image.open(io.BytesIO(content)) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))

    np.testing.assert_array_equal(np.asarray(decode(content)), expected)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_pixels_bring_no_metadata_along(mode: str, kind: str, orientation: int) -> None:
    """What is saved from them must not be turned, or seen through a profile, once more."""
    content = encode(
        noise((31, 17), mode), kind, exif=exif(orientation), icc_profile=swapped_profile()
    )

    image = decode(content)

    assert image.info == {}
    assert dict(image.getexif()) == {}


def test_ours_is_the_policy_unless_another_is_named() -> None:
    content = encode(noise((31, 17)), exif=exif(6))

    assert decode(content) == decode(content, policy=Policy.OURS)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_processor_sees_all_pixels_upright_and_no_profile(kind: str, orientation: int) -> None:
    """The slow and obvious way: Pillow's own, whatever number of pixels would do."""
    content = encode(noise((310, 170)), kind, exif=exif(orientation), icc_profile=swapped_profile())
    with Image.open(io.BytesIO(content)) as file:
        expected = ImageOps.exif_transpose(file).convert("RGB")

    image = decode(content, min_side_px=20, scales=JpegScales.HALVES, policy=Policy.PROCESSOR)

    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert image.info == {}
    assert dict(image.getexif()) == {}


def test_a_processor_sees_the_colors_below_transparency_and_the_high_bytes_of_gray() -> None:
    colors = png([(10, 20, 30, 0)] * 4, depth=8, color_type=6, size=(2, 2))
    gray = png([(0x00FF,), (0x0100,), (0x7FFF,), (0x8000,)], depth=16, color_type=0, size=(2, 2))
    palette = Image.new("P", (2, 2))
    palette.putpalette([10, 20, 30])
    ghost = encode(palette, "PNG", transparency=bytes([128]))  # of which Pillow would warn

    assert decode(ghost, policy=Policy.PROCESSOR).getpixel((0, 0)) == (10, 20, 30)
    assert decode(colors, policy=Policy.PROCESSOR).getpixel((0, 0)) == (10, 20, 30)
    assert np.asarray(decode(gray, policy=Policy.PROCESSOR))[:, :, 0].tolist() == [
        [0, 1],
        [127, 128],
    ]


# Thumbnails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((400, 300), (100, 75), id="wide"),
        pytest.param((300, 400), (75, 100), id="high"),
        pytest.param((1000, 10), (100, 1), id="a line"),
        pytest.param((60, 40), (60, 40), id="never enlarged"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_side_of_a_thumbnail_is_longer_than_asked_for(
    kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert thumbnail(encode(noise(size), kind), max_side_px=100).size == expected


def test_a_thumbnail_is_the_whole_image_reduced_once() -> None:
    """The slow and obvious way: no box filter first, however large the image is."""
    image = noise((1024, 768))

    small = thumbnail(encode(image, "PNG"), max_side_px=64)

    assert small == image.resize((64, 48), Image.Resampling.BICUBIC)


# What browsers show -------------------------------------------------------------------------------


def test_outside_of_its_first_frame_a_gif_is_white() -> None:
    frame = encode(Image.new("P", (8, 8), 1), "GIF")
    at = frame.index(b",\0\0\0\0\x08\0\x08\0")
    content = bytearray(frame)
    content[6:10] = struct.pack("<HH", 20, 10)
    content[at + 1 : at + 5] = struct.pack("<HH", 4, 2)
    inside = np.asarray(decode(frame))[0, 0]

    colors = np.asarray(decode(bytes(content)))

    expected = np.full((10, 20, 3), 255)
    expected[2:10, 4:12] = inside
    assert tuple(inside) != (255, 255, 255)
    np.testing.assert_array_equal(colors, expected)


@pytest.mark.parametrize(
    ("alphas", "expected"),
    [((0, 0), [(9, 99, 199)] * 2), ((0, 255), [(255, 255, 255), (9, 99, 199)])],
    ids=["never set", "set"],
)
def test_a_bmp_whose_alpha_is_zero_throughout_is_opaque(
    alphas: tuple[int, int], expected: list[tuple[int, int, int]]
) -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    pixels = b"".join(bytes([199, 99, 9, alpha]) for alpha in alphas)
    header = struct.pack("<IiiHHIIiiII", 108, 2, -1, 1, 32, 3, 8, 0, 0, 0, 0) + masks
    header = header.ljust(108, b"\0")
    content = b"BM" + struct.pack("<IHHI", 14 + 108 + 8, 0, 0, 14 + 108) + header + pixels

    assert [tuple(color) for color in np.asarray(decode(content))[0]] == expected


@pytest.mark.parametrize("with_exif", [False, True])
def test_xmp_turns_no_image(*, with_exif: bool) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" if with_exif else b""
    content = encode(four_quarters((48, 32)), xmp=xmp, exif=tags)
    assert Image.open(io.BytesIO(content)).getexif()[0x0112] == 6

    assert decode(content).size == (48, 32)
    assert decode_array(content).shape == (32, 48, 3)
    assert read_size(content) == (48, 32)
    stored = store(content, form(size_px=16), max_pixels=10_000)
    assert (stored.width_px, stored.height_px) == (48, 32)
