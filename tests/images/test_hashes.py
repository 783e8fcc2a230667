import numpy as np
import pytest
from odd_images import WHITE, encode, form
from PIL import Image

from openalign.images.hashes import fingerprint_image, phash_of
from openalign.images.headers import ImageError
from openalign.images.stored import store


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size_px", [64, 346, 500])
def test_a_fingerprint_is_what_store_says_whatever_size_is_stored(kind: str, size_px: int) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise).resize((1000, 750), Image.Resampling.BICUBIC), kind)

    image = store(content, form(size_px=size_px), max_pixels=10_000_000)

    assert fingerprint_image(content) == (image.sha256, image.phash)


def test_the_hash_is_the_dct_written_out() -> None:
    rng = np.random.default_rng(2)
    grid = rng.integers(0, 256, (32, 32)).astype(np.uint8)

    frequencies = {}
    k = np.arange(32)
    for u in range(8):
        for v in range(8):
            waves = np.outer(
                np.cos(np.pi * (2 * k + 1) * u / 64), np.cos(np.pi * (2 * k + 1) * v / 64)
            )
            frequencies[8 * u + v] = float((waves * grid).sum())
    median = sorted(frequencies[i] for i in range(1, 64))[31]
    expected = sum(1 << i for i, value in frequencies.items() if value > median)

    assert phash_of(Image.fromarray(grid)) == f"{expected:016x}"


def test_the_hash_survives_size_format_and_color_and_not_another_image() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC)
    other = Image.fromarray(noise[::-1]).resize((400, 300), Image.Resampling.BICUBIC)
    original = int(fingerprint_image(encode(image, "PNG"))[1], 16)

    def distance(content: bytes) -> int:
        return (original ^ int(fingerprint_image(content)[1], 16)).bit_count()

    assert distance(encode(image.resize((200, 150)), "JPEG")) <= 4
    assert distance(encode(image.convert("L"), "WEBP")) <= 4
    assert distance(encode(other, "PNG")) >= 16


GOLDEN = {
    ("PNG", (320, 240)): "020607d5f4c76777",
    ("PNG", (640, 480)): "7d82eb930d91983d",
    ("PNG", (1000, 750)): "97bb70bd750c4c81",
    ("PNG", (2000, 1500)): "a0b173f02f38326f",
    ("JPEG", (320, 240)): "020607d5f4c76777",
    ("JPEG", (640, 480)): "7d82eb938d919835",
    ("JPEG", (1000, 750)): "179b70bd750c4d91",
    ("JPEG", (2000, 1500)): "80b1f3f03d78322f",
}


def test_hashes_are_those_of_earlier_versions() -> None:
    """Ledgers and lists of held-out images are compared across versions."""
    found = dict[tuple[str, tuple[int, int]], str]()
    for kind, size in GOLDEN:
        shape = (size[1] // 2, size[0] // 2, 3)
        noise = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
        image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        found[kind, size] = fingerprint_image(encode(image, kind))[1]

    assert found == GOLDEN


def test_the_hash_of_a_plain_image_has_the_mean_alone() -> None:
    assert phash_of(Image.new("RGB", (50, 50), WHITE)) == "0000000000000001"


def test_bytes_that_are_no_image_have_no_fingerprint() -> None:
    with pytest.raises(ImageError, match="no image"):
        fingerprint_image(b"<html>not found</html>")
