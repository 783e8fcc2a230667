"""Copies of held-out benchmark images: the same bytes, or luminance hashes a few bits apart.

ALIGN (appendix A) compares embeddings of a private model; the stand-ins here need none. Both are
exact: every copy within the radius is found, and nothing else.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa

from openalign.filtering.config import NearDuplicates
from openalign.filtering.counts.tokens import U64, Bools, Ints

_HASH_BITS = 64
_PAIRS_AT_ONCE = 1 << 22


def matcher(held_out: pa.Table, rules: NearDuplicates) -> Callable[[pl.DataFrame], Bools]:
    """Return a function from images (`sha256`, `phash`) to which are copies of a held-out one."""
    if rules.method == "exact":
        fingerprints = pl.Series(held_out.column("sha256"), dtype=pl.String).unique().implode()
        return lambda images: images["sha256"].is_in(fingerprints).to_numpy()
    hashes = hashes_of(pl.Series(held_out.column("phash"), dtype=pl.String))
    return lambda images: within_radius(hashes_of(images["phash"]), hashes, rules.radius_bits)


def hashes_of(digits: pl.Series) -> U64:
    """Return hashes that are written in 16 hex digits each as numbers."""
    packed = bytes.fromhex("".join(digits.to_list()))
    return np.frombuffer(packed, ">u8").astype(np.uint64)


def within_radius(hashes: U64, held_out: U64, radius_bits: int) -> Bools:
    """Tell which hashes differ from some held-out hash in at most `radius_bits` bits.

    The hash is cut into `radius_bits + 1` bands. Two hashes within the radius agree on at least one
    whole band, so only pairs that agree on one are compared.
    """
    found = np.zeros(len(hashes), bool)
    held_out = np.unique(held_out)
    num_bands = radius_bits + 1
    edges = [_HASH_BITS * band // num_bands for band in range(num_bands + 1)]
    for low, high in pairwise(edges):
        left = np.flatnonzero(~found)
        found[left] = _agree_on_band(hashes[left], held_out, low, high, radius_bits)
    return found


def _agree_on_band(hashes: U64, held_out: U64, low: int, high: int, radius_bits: int) -> Bools:
    band, held_out_band = _bits(hashes, low, high), _bits(held_out, low, high)
    order = np.argsort(held_out_band, kind="stable")
    begins = np.searchsorted(held_out_band[order], band, side="left")
    ends = np.searchsorted(held_out_band[order], band, side="right")
    found = np.zeros(len(hashes), bool)
    upto = np.cumsum(ends - begins)
    chunk = upto // _PAIRS_AT_ONCE
    for rows in np.split(np.arange(len(hashes)), np.flatnonzero(np.diff(chunk)) + 1):
        mine, theirs = _pairs(begins[rows], ends[rows])
        apart = np.bitwise_count(hashes[rows][mine] ^ held_out[order[theirs]])
        found[rows[mine[apart <= radius_bits]]] = True
    return found


def _pairs(begins: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Return (i, j) for every i and every j from begins[i] up to ends[i]."""
    lengths = ends - begins
    mine = np.repeat(np.arange(len(begins)), lengths)
    place = np.arange(len(mine)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return mine, begins[mine] + place


def _bits(hashes: U64, low: int, high: int) -> U64:
    """Return the bits from `low` up to `high` of each hash."""
    width = high - low
    mask = np.uint64((1 << width) - 1)
    return hashes >> np.uint64(low) & mask
