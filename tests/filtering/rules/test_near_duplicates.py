import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from openalign.files.schemas import FINGERPRINT
from openalign.filtering.config import NearDuplicates
from openalign.filtering.rules import near_duplicates
from openalign.filtering.rules.near_duplicates import hashes_of, matcher, within_radius


def flipped(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def held_out(sha256: list[str], phash: list[str]) -> pa.Table:
    return pa.table(
        {
            "name": sha256,
            "split": ["test"] * len(sha256),
            "sha256": sha256,
            "phash": phash,
        },
        schema=FINGERPRINT,
    )


@pytest.mark.parametrize("radius", [0, 1, 6, 15])
def test_a_hash_is_found_on_the_radius_and_not_beyond(radius: int) -> None:
    image = 0x0123456789ABCDEF
    # Bits spread over the word, so that as many bands as possible differ.
    bits = [(i * 61) % 64 for i in range(radius + 1)]
    on, beyond = flipped(image, bits[:radius]), flipped(image, bits)

    found = within_radius(
        np.array([image, on, beyond], np.uint64), np.array([5, image], np.uint64), radius
    )

    assert found.tolist() == [True, True, False]


@pytest.mark.parametrize("radius", [0, 3, 6, 10, 15])
def test_equals_brute_force(radius: int) -> None:
    rng = np.random.default_rng(radius)
    images = rng.integers(0, 2**64 - 1, 300, dtype=np.uint64)
    near = images[rng.integers(0, 300, 2_000)].copy()
    for i in range(len(near)):
        for bit in rng.choice(64, rng.integers(0, 2 * radius + 2), replace=False):
            near[i] ^= np.uint64(1) << np.uint64(bit)
    hashes = np.concatenate((near, rng.integers(0, 2**64 - 1, 2_000, dtype=np.uint64)))

    found = within_radius(hashes, images, radius)

    apart = np.array([np.bitwise_count(h ^ images).min() for h in hashes])
    assert found.tolist() == (apart <= radius).tolist()
    assert 0 < found.sum() < len(hashes)


def test_many_pairs_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_PAIRS_AT_ONCE", 50)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2**10, 200, dtype=np.uint64)  # they agree on most bands
    hashes = rng.integers(0, 2**12, 300, dtype=np.uint64)

    found = within_radius(hashes, images, 2)

    apart = np.array([np.bitwise_count(h ^ images).min() for h in hashes])
    assert found.tolist() == (apart <= 2).tolist()


def test_nothing_is_near_when_nothing_is_held_out() -> None:
    hashes = np.array([0, 1], np.uint64)

    assert within_radius(hashes, np.zeros(0, np.uint64), 6).tolist() == [False, False]
    assert within_radius(hashes[:0], hashes, 6).tolist() == []


def test_hex_digits_are_the_hash_with_all_its_bits() -> None:
    digits = pl.Series(["0000000000000001", "8000000000000000", "0123456789abcdef", "f" * 16])

    assert hashes_of(digits).tolist() == [1, 1 << 63, 0x0123456789ABCDEF, 2**64 - 1]
    assert hashes_of(digits[:0]).tolist() == []


def test_exact_means_the_same_bytes() -> None:
    seven, nine = "0000000000000007", "0000000000000009"
    images = pl.DataFrame({"sha256": ["aa", "bb"], "phash": [seven, seven]})

    exact = matcher(held_out(["bb", "bb"], [seven, nine]), NearDuplicates(method="exact"))
    phash = matcher(
        held_out(["bb", "bb"], [seven, nine]), NearDuplicates(method="phash", radius_bits=0)
    )

    assert exact(images).tolist() == [False, True]
    assert phash(images).tolist() == [True, True]
    assert matcher(held_out([], []), NearDuplicates(method="exact"))(images).tolist() == [
        False,
        False,
    ]
