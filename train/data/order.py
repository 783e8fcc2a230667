"""Which pair stands at a position, and what is drawn for it: pure functions of integers.

The functions hold no state. A run is resumed by naming the next step, on any number of ranks and
threads. Positions count through all epochs: position p lies in epoch p // n of n pairs.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

RowNumbers = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ROUNDS = 6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def rows_at(positions: Positions, *, num_rows: int, seed: int) -> RowNumbers:
    """Return the row at each position: every epoch is a permutation of its own.

    A Feistel network permutes the smallest square of a power of two that holds all rows. A number
    that lands outside the rows goes through the network again. A position costs the same in a
    corpus of any size, and nothing is kept in memory.
    """
    half_bits = np.uint64(max(1, (max(num_rows - 1, 1).bit_length() + 1) // 2))
    epochs = (positions // num_rows).astype(np.uint64)
    rows = (positions % num_rows).astype(np.uint64)
    outside = np.ones(len(rows), dtype=bool)
    while outside.any():
        rows[outside] = _feistel(rows[outside], _keys(seed, epochs[outside]), half_bits)
        outside = rows >= num_rows
    return rows.astype(np.int64)


class Order(Protocol):
    """Which row stands at a position."""

    def __len__(self) -> int:
        """Return how many rows there are: positions beyond it begin again."""
        ...

    def rows(self, positions: Positions) -> RowNumbers:
        """Return the row at each position."""
        ...


class Shuffled:
    """Every epoch is a permutation of its own of all rows but some."""

    def __init__(self, num_rows: int, *, seed: int, left_out: RowNumbers | None = None) -> None:
        """Shuffle so many rows, less those that are left out, which are sorted."""
        self._seed = seed
        left = np.empty(0, dtype=np.int64) if left_out is None else left_out
        self._num_rows = num_rows - len(left)
        self._num_before = left - np.arange(len(left))
        """How many of the rows that stay lie before each that does not."""

    def __len__(self) -> int:
        """Return how many rows stay."""
        return self._num_rows

    def rows(self, positions: Positions) -> RowNumbers:
        """Return the row at each position."""
        stayed = rows_at(positions, num_rows=self._num_rows, seed=self._seed)
        return stayed + np.searchsorted(self._num_before, stayed, side="right")


class RowList:
    """Some rows, again and again in the order in which they are listed."""

    def __init__(self, rows: RowNumbers) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Return how many rows are listed."""
        return len(self._rows)

    def rows(self, positions: Positions) -> RowNumbers:
        """Return the row at each position."""
        return self._rows[positions % len(self._rows)]


def draws_at(positions: Positions, *, num_draws: int, seed: int) -> npt.NDArray[np.float64]:
    """Return `num_draws` uniform numbers in [0, 1) for each position."""
    # The complement keeps these apart from the keys that `rows_at` derives from the same seed.
    base = _mix(positions.astype(np.uint64) ^ _mix(~_word(seed)))
    steps = np.arange(1, num_draws + 1, dtype=np.uint64) * _GOLDEN
    words = _mix(base[:, None] + steps[None, :])
    return (words >> np.uint64(11)).astype(np.float64) * np.float64(2.0**-53)


def seed_at(seed: int, *parts: int) -> int:
    """Return a seed of its own, below 2**63, for each tuple of integers."""
    word = _mix(_word(seed))
    for part in parts:
        word = _mix(word ^ _word(part) + _GOLDEN)
    return int(word[0] >> np.uint64(1))


def _feistel(values: Words, keys: Words, half_bits: np.uint64) -> Words:
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = values >> half_bits, values & mask
    for _ in range(_ROUNDS):
        keys = _mix(keys + _GOLDEN)
        left, right = right, left ^ (_mix(right ^ keys) & mask)
    return (left << half_bits) | right


def _keys(seed: int, epochs: Words) -> Words:
    return _mix(epochs ^ _mix(_word(seed)))


def _word(value: int) -> Words:
    return np.array([value], dtype=np.uint64)


def _mix(words: Words) -> Words:
    """SplitMix64's finalizer: every bit of the input moves every bit of the output."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
