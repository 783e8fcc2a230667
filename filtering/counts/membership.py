"""Which hashes of a batch are in a sorted set, such as the vocabulary of frequent n-grams."""

import numpy as np
import polars as pl

from openalign.filtering.counts.frequency import run_starts, sort
from openalign.filtering.counts.tokens import U64, Bools


def absent(hashes: U64, vocabulary: U64) -> Bools:
    """Tell which hashes are not in a sorted vocabulary, which may be memory-mapped."""
    distinct, known = _look_up(hashes, vocabulary)
    return _is_in(hashes, distinct[~known])


def present(hashes: U64, vocabulary: U64) -> Bools:
    """Tell which hashes are in a sorted vocabulary; fast where few are."""
    distinct, known = _look_up(hashes, vocabulary)
    return _is_in(hashes, distinct[known])


def _look_up(hashes: U64, vocabulary: U64) -> tuple[U64, Bools]:
    """Return the distinct hashes, and which are known.

    Each is looked up once and in order, so neighbors share pages and cache lines.
    """
    ordered = sort(hashes)
    distinct = ordered[run_starts(ordered)]
    if not len(vocabulary):
        return distinct, np.zeros(len(distinct), bool)
    at = np.minimum(np.searchsorted(vocabulary, distinct), len(vocabulary) - 1)
    return distinct, vocabulary[at] == distinct


def _is_in(hashes: U64, few: U64) -> Bools:
    if not len(few):
        return np.zeros(len(hashes), bool)
    return pl.Series(hashes).is_in(pl.Series(few).implode()).to_numpy()
