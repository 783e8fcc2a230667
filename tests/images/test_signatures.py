import pytest
from image_encoders import encode, four_quarters, tiff

from openalign.images.headers import ImageError, ImageFault, open_web_header, read_size
from openalign.images.signatures import SIGNATURE_BYTES, Kind, format_of


def box(kind: bytes, *brands: bytes) -> bytes:
    """Return the first box of an ISO media file: a major brand, a version, compatible brands."""
    body = b"ftyp" + kind + bytes(4) + b"".join(brands)
    return (4 + len(body)).to_bytes(4, "big") + body + bytes(600)


ICO = encode(four_quarters((32, 32)), "ICO")
JPEG2000 = encode(four_quarters(), "JPEG2000")
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
ILLUSTRATOR = (
    b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n<!-- Generator: an illustrator, '
    b"SVG Export Plug-In . SVG Version: 6.00 Build 0)  -->\n" + SVG
)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIC"),
        (box(b"mif1", b"mif1", b"heic"), "HEIC"),
        (box(b"msf1", b"hevc"), "HEIC"),
        (box(b"mif1"), "HEIF"),
        (b"\xff\x0a" + bytes(600), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(600), "JPEG XL"),
        (SVG, "SVG"),
        (ILLUSTRATOR, "SVG"),
        (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "">', "SVG"),
        (ICO, "ICO"),
        (ICO[:2] + b"\2" + ICO[3:], "CUR"),
        (encode(four_quarters((48, 48)), "TGA"), "TGA"),
        (encode(four_quarters((48, 48)), "TGA", compression="tga_rle"), "TGA"),
        (encode(four_quarters((48, 48)), "PPM"), "PNM"),
        (encode(four_quarters((48, 48)).convert("1"), "PPM"), "PNM"),
        (b"P2\n# by hand # 9\n\n2 # wide\n2\n255\n0 1 2 3\n", "PNM"),
        (b"P7\nWIDTH 2\n", "PNM"),
        (b"SIMPLE  =                    T / conforms to FITS".ljust(2880), "FITS"),
        (encode(four_quarters((48, 48)), "SGI"), "SGI"),
        (encode(four_quarters((64, 64)), "ICNS"), "ICNS"),
        (b"\xff\xd8\xff\xf7" + bytes(600), "JPEG-LS"),
        (b"<!-- " + b"of a thousand characters " * 40 + b"-->" + SVG, "SVG"),
        (("\ufeff" + SVG.decode()).encode("utf-16-le"), "SVG"),
        (b"8BPS\0\1" + bytes(600), "PSD"),
        (JPEG2000, "JPEG 2000"),
        (b"qoif" + bytes(600), "QOI"),
        (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(600), "EMF"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_image_that_is_not_decoded_is_refused_by_its_name(content: bytes, name: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_web_header(content)

    assert caught.value.reason is ImageFault.UNDECODED_FORMAT
    assert caught.value.detail == f"{name}: this format is not decoded"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (box(b"isom", b"isom", b"mp42"), "MP4 video"),
        (box(b"qt  "), "QuickTime video"),
        (b"\x1aE\xdf\xa3" + bytes(600), "WebM or Matroska video"),
        (b"<!DOCTYPE html><html><body><svg></svg></body></html>", "HTML"),
        (b"\n <HTML lang=en>", "HTML"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (b'{"error": "not found"}', "JSON"),
        (b'\n{\n  "error": "not found"}', "JSON"),
        (b'[ { "error": 1}]', "JSON"),
        (b"<head><title>Moved</title>", "HTML"),
        (b"<script>location='/'</script>", "HTML"),
        (b"<br />\n<b>Warning</b>: no such file", "HTML"),
        (b"<div><svg></svg></div>", "HTML"),
        (b"<!-- made by hand --><p>", "HTML"),
        (b"wOF2" + bytes(600), "a font"),
        (b"FWS\x05" + (9999).to_bytes(4, "little") + bytes(600), "Flash"),
        (b"CWS\x20" + (9999).to_bytes(4, "little") + bytes(600), "Flash"),
        (b"PK\3\4", "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a Git LFS pointer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_image_is_called_by_its_name(content: bytes, name: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_web_header(content)

    assert caught.value.reason is ImageFault.NOT_AN_IMAGE
    assert caught.value.detail == f"{name}: this is no image"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"BMW cars are fast. " * 50, id="a text that begins like a BMP"),
        pytest.param(b"GIF8 is how a GIF begins", id="a text that begins like a GIF"),
        pytest.param(b"Not found", id="a text"),
        pytest.param(bytes(600), id="zeros"),
        pytest.param(b"\0\0\1\0" + bytes(600), id="an icon without an image"),
        pytest.param(b"\0\0\2" + bytes(600), id="a TGA without a size"),
        pytest.param(b"P1 is a prize", id="a text that begins like a PNM"),
        pytest.param(b"P1 2024 report", id="a text that begins like a PNM and its width"),
        pytest.param(b"P2 2024 2025 report", id="a text that begins like a PNM and its size"),
        pytest.param(b"SIMPLE  = text", id="a text that begins like a FITS"),
        pytest.param(b"icns is text", id="a text that begins like an ICNS"),
        pytest.param(b"FWS fish", id="a text that begins like a Flash file"),
        pytest.param(b"CWS\nand more", id="a text that begins like a packed Flash file"),
        pytest.param(b"<bold> words", id="a text that begins like a page"),
        pytest.param(b"RIFF\0\0\0\0CDDA" + bytes(600), id="another RIFF"),
    ],
)
def test_what_begins_like_nothing_has_no_name(content: bytes) -> None:
    assert format_of(content) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_a_decoded_format_is_told_as_pillow_names_it(kind: str) -> None:
    found = format_of(encode(four_quarters(), kind)[:32])

    assert found is not None
    assert (found.kind, found.pillow) == (Kind.DECODED, kind)


def test_further_forms_of_decoded_formats() -> None:
    bitmap = encode(four_quarters(), "BMP")
    pixels = [b"\0", b"\1", b"\2", b"\3"]
    forms = {
        bitmap[:14] + (12).to_bytes(4, "little"): "BMP",
        box(b"avis", b"avis", b"msf1"): "AVIF",
        box(b"mif1", b"mif1", b"avif"): "AVIF",
        b"GIF87a": "GIF",
        tiff(pixels, bits=8, order=">"): "TIFF",
        encode(four_quarters(), "TIFF", big_tiff=True): "TIFF",
    }

    assert {content: getattr(format_of(content), "pillow", None) for content in forms} == forms


def test_a_name_does_not_depend_on_how_many_bytes_have_come() -> None:
    """The detail goes into the ledger, and the network cuts where it likes."""
    page = b"<" + b"!-- long -->" * 130 + b"<html>"
    assert len(page) > SIGNATURE_BYTES

    for content in (SVG, ILLUSTRATOR, page):
        padded = content.ljust(2 * SIGNATURE_BYTES)
        assert read_size(padded[: SIGNATURE_BYTES - 1]) is None
        details = set[str]()
        for length in (SIGNATURE_BYTES, SIGNATURE_BYTES + 1, 2 * SIGNATURE_BYTES):
            with pytest.raises(ImageError) as caught:
                read_size(padded[:length])
            details.add(caught.value.detail)
        assert len(details) == 1
