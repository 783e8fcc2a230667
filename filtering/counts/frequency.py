"""Corpus-wide counts on 64-bit hashes, exact and independent of order (ALIGN §3).

This module answers two questions, each with partial results that merge in any order:

    how often each n-gram occurs            `count`, `merge_counts`, `choose_cut`
    which keys have many different values   `cap_distinct`, `keys_over`

Hashes are cut into buckets by their top bits. So no bucket is hot, and the sorted tables of the
buckets, one after the other, are one sorted table. Partial results cross a shuffle as raw
little-endian arrays.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from openalign.filtering.counts.tokens import U64, Ints
from openalign.filtering.thresholds import Frequent

PIECE_ITEMS = 1 << 16
"""Items in one shuffled value: 8 or 16 bytes each, so half a megabyte to a megabyte."""

_HALF = np.uint64(32)


# Buckets ------------------------------------------------------------------------------------------


def bucket_starts(num_buckets: int) -> U64:
    """Return the smallest hash of each bucket; bucket b holds the hashes from start b to b + 1."""
    return np.array([-(-(b << 32) // num_buckets) << 32 for b in range(num_buckets)], np.uint64)


def buckets_of(hashes: U64, num_buckets: int) -> npt.NDArray[np.uint16]:
    """Return the bucket of each hash: its top bits, scaled to the number of buckets."""
    return ((hashes >> _HALF) * np.uint64(num_buckets) >> _HALF).astype(np.uint16)


def sort(hashes: U64) -> U64:
    """Return hashes in order."""
    return pl.Series(hashes, dtype=pl.UInt64).sort().to_numpy()  # 3 times numpy's speed


# How often does each n-gram occur -----------------------------------------------------------------


def count(hashes: U64) -> tuple[U64, Ints]:
    """Return the distinct hashes in order, and how often each occurs."""
    ordered = sort(hashes)
    first = run_starts(ordered)
    return ordered[first], np.diff(np.append(first, len(ordered)))


def to_pieces(distinct: U64, counts: Ints, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Cut counts into (bucket, bytes); an n-gram that occurs once takes 8 bytes."""
    bounds = np.append(np.searchsorted(distinct, bucket_starts(num_buckets)), len(distinct))
    for bucket, (begin, end) in enumerate(pairwise(bounds.tolist())):
        for at in range(begin, end, PIECE_ITEMS):
            piece = slice(at, min(at + PIECE_ITEMS, end))
            repeated = np.flatnonzero(counts[piece] > 1)
            yield (
                bucket,
                b"".join(
                    (
                        np.array([len(distinct[piece])], "<u8").tobytes(),
                        distinct[piece].astype("<u8").tobytes(),
                        repeated.astype("<u4").tobytes(),
                        (counts[piece][repeated] - 1).astype("<u4").tobytes(),
                    )
                ),
            )


def merge_counts(pieces: Iterable[bytes]) -> tuple[U64, Ints]:
    """Add up one bucket's pieces; return its distinct hashes in order, and their counts."""
    parts = [_from_piece(piece) for piece in pieces]
    distinct, counts = count(np.concatenate([hashes for hashes, _, _ in parts]))
    for hashes, repeated, more in parts:
        counts[np.searchsorted(distinct, hashes[repeated])] += more
    return distinct, counts


def _from_piece(piece: bytes) -> tuple[U64, Ints, Ints]:
    length = int(np.frombuffer(piece, "<u8", 1)[0])
    hashes = np.frombuffer(piece, "<u8", length, 8)
    repeated, more = np.frombuffer(piece, "<u4", -1, 8 + 8 * length).reshape(2, -1)
    return hashes, repeated.astype(np.int64), more.astype(np.int64)


def histogram(counts: Ints) -> list[tuple[int, int]]:
    """Return (count, how many n-grams have it), most frequent first."""
    values, numbers = np.unique(counts, return_counts=True)
    return [(int(v), int(n)) for v, n in zip(values[::-1], numbers[::-1], strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which n-grams are frequent: all above a count, and some of those that have exactly it."""

    at_count: int
    """N-grams with a higher count are kept; those with a lower one are not."""

    num_above: int
    num_tied: int
    """N-grams that have exactly this count."""

    num_tied_kept: int
    """How many of them are kept: the first in hash order."""

    tied_kept: dict[int, int]
    """The same by bucket."""

    @property
    def num_kept(self) -> int:
        """How many n-grams are kept."""
        return self.num_above + self.num_tied_kept


def choose_cut(histograms: dict[int, Sequence[tuple[int, int]]], frequent: Frequent) -> Cut:
    """Find the cut that a threshold asks for, from the histogram of each bucket."""
    total: dict[int, int] = {}
    for rows in histograms.values():
        for value, number in rows:
            total[value] = total.get(value, 0) + number
    descending = sorted(total.items(), reverse=True)
    at_count, num_tied_kept = frequent.find(descending) if descending else (0, 0)
    num_above = sum(number for value, number in descending if value > at_count)
    tied_kept: dict[int, int] = {}
    left = num_tied_kept
    for bucket in sorted(histograms):  # in bucket order, which is hash order
        tied_kept[bucket] = min(left, dict(histograms[bucket]).get(at_count, 0))
        left -= tied_kept[bucket]
    return Cut(
        at_count=at_count,
        num_above=num_above,
        num_tied=total.get(at_count, 0),
        num_tied_kept=num_tied_kept,
        tied_kept=tied_kept,
    )


def apply_cut(distinct: U64, counts: Ints, *, at_count: int, num_tied_kept: int) -> U64:
    """Return a bucket's n-grams above a count and the first of those that have it, in order."""
    keep = counts > at_count
    keep[np.flatnonzero(counts == at_count)[:num_tied_kept]] = True
    return distinct[keep]


def expected_collisions(num_unigrams: int, num_bigrams: int) -> float:
    """Return the expected number of pairs of n-grams that share a hash.

    One bit of 64 tells unigrams from bigrams, so pairs form within a kind, over 63 bits.
    """
    return (_pairs(num_unigrams) + _pairs(num_bigrams)) / 2**63


def expected_wrongly_frequent(kept: tuple[int, int], dropped: tuple[int, int]) -> float:
    """Return the expected number of rare n-grams that share a hash with a frequent one.

    Both arguments are (unigrams, bigrams).
    """
    return (kept[0] * dropped[0] + kept[1] * dropped[1]) / 2**63


def _pairs(number: int) -> int:
    return number * (number - 1) // 2


# Which keys have many different values ------------------------------------------------------------


def cap_distinct(keys: U64, values: U64, cap: int) -> tuple[U64, U64]:
    """Drop pairs that cannot decide whether a key has `cap` different values.

    A key with more than `cap` pairs keeps only its `cap` smallest different values. So the values
    of a key are bounded, and merging in any order gives the same answer.
    """
    hot = np.isin(keys, _keys_with_more_pairs(keys, cap)) if len(keys) else np.zeros(0, bool)
    if not hot.any():
        return keys, values
    hot_keys, hot_values = _distinct_pairs(keys[hot], values[hot])
    kept = _place_in_key(hot_keys) < cap
    return (
        np.concatenate((keys[~hot], hot_keys[kept])),
        np.concatenate((values[~hot], hot_values[kept])),
    )


def pairs_to_pieces(keys: U64, values: U64, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Cut pairs into (bucket of the key, bytes)."""
    buckets = buckets_of(keys, num_buckets)
    order = np.argsort(buckets, kind="stable")
    keys, values = keys[order], values[order]
    bounds = np.concatenate(([0], np.cumsum(np.bincount(buckets, minlength=num_buckets))))
    for bucket, (begin, end) in enumerate(pairwise(bounds.tolist())):
        for at in range(begin, end, PIECE_ITEMS):
            piece = slice(at, min(at + PIECE_ITEMS, end))
            yield bucket, np.concatenate((keys[piece], values[piece])).astype("<u8").tobytes()


def merge_pairs(pieces: Iterable[bytes], limit: int) -> U64:
    """Return, in order, one bucket's keys that have more than `limit` different values.

    Pieces are capped as they arrive, so a key that half the corpus shares stays small.
    """
    keys, values = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    waiting: list[npt.NDArray[np.uint64]] = []
    num_waiting = 0

    def together() -> tuple[U64, U64]:
        new_keys, new_values = np.concatenate(waiting, axis=1)
        return np.concatenate((keys, new_keys)), np.concatenate((values, new_values))

    for piece in pieces:
        waiting.append(np.frombuffer(piece, "<u8").reshape(2, -1))
        num_waiting += waiting[-1].shape[1]
        if num_waiting > 64 * PIECE_ITEMS:
            keys, values = cap_distinct(*together(), limit + 1)
            waiting, num_waiting = [], 0
    return keys_over(*(together() if waiting else (keys, values)), limit)


def keys_over(keys: U64, values: U64, limit: int) -> U64:
    """Return, in order, the keys that have more than `limit` different values."""
    hot = np.isin(keys, _keys_with_more_pairs(keys, limit)) if len(keys) else np.zeros(0, bool)
    hot_keys, _ = _distinct_pairs(keys[hot], values[hot])
    return _keys_with_more_pairs(hot_keys, limit)


def _keys_with_more_pairs(keys: U64, limit: int) -> U64:
    distinct, counts = count(keys)
    return distinct[counts > limit]


def _distinct_pairs(keys: U64, values: U64) -> tuple[U64, U64]:
    """Return each different pair once, sorted by key, then value."""
    pairs = pl.DataFrame({"key": keys, "value": values}).unique().sort("key", "value")
    return pairs["key"].to_numpy(), pairs["value"].to_numpy()


def _place_in_key(sorted_keys: U64) -> Ints:
    """Return 0, 1, 2, ... within each run of equal keys."""
    first = run_starts(sorted_keys)
    lengths = np.diff(np.append(first, len(sorted_keys)))
    return np.arange(len(sorted_keys)) - np.repeat(first, lengths)


def run_starts(ordered: U64) -> Ints:
    """Return where each run of equal values begins."""
    if not len(ordered):
        return np.zeros(0, np.int64)
    return np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
