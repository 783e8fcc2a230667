"""Rows with their classes, read block by block on threads that never change a bit of the result.

Blocks are cut by the numbers of rows and classes alone, each is computed by one thread, and their
results come in the blocks' order. So a sum of them is the same on any number of threads. ImageNet's
1.28 million rows are never copied as a whole.

Shape suffixes:
    G  rows of the benchmark
    N  rows of the labeled set
    B  rows of a block
    D  embedding width
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
import xxhash
from torch import Tensor

from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.vectors import Vectors
from openalign.files.hashing import SEED
from openalign.train.sweep.trials import usable_cores

_NUMBERS_AT_ONCE = 1 << 22
"""Features or scores of a block: 32 MiB in float64."""

_BLOCKS_AT_ONCE = 32
"""Results of blocks that may wait for their turn."""

_ROWS_HASHED_AT_ONCE = 4096

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeled:
    """Images with their classes: some of a benchmark's rows."""

    image_GD: Vectors
    places_N: Ints
    label_N: Ints
    num_classes: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.places_N)

    @property
    def width(self) -> int:
        """Length of a row."""
        return self.image_GD.shape[1]

    def take(self, rows: slice | Ints) -> tuple[Tensor, Tensor]:
        """Return a copy of some rows, `[B, D]`, and their classes."""
        row_BD = self.image_GD[self.places_N[rows]]
        return torch.from_numpy(row_BD), torch.from_numpy(self.label_N[rows])

    def digest(self) -> str:
        """Return a hash of the rows and classes, wherever the rows lie."""
        hashed = xxhash.xxh3_128(
            f"{len(self)} {self.width} {self.num_classes} ".encode(), seed=SEED
        )
        hashed.update(self.label_N.tobytes())
        for start in range(0, len(self), _ROWS_HASHED_AT_ONCE):
            places = self.places_N[start : start + _ROWS_HASHED_AT_ONCE]
            hashed.update(self.image_GD[places].tobytes())
        return hashed.hexdigest()


class Threads:
    """The threads that blocks are computed on."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool

    def map(self, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
        """Return the function's results in the order of the items."""
        return map(function, items) if self._pool is None else self._pool.map(function, items)


@contextmanager
def threads(number: int | None = None) -> Generator[Threads]:
    """Yield so many threads, one a core when nobody says. Meanwhile no operation uses several.

    An operation that is spread over threads rounds otherwise with another number of them.
    """
    before = torch.get_num_threads()
    number = usable_cores() if number is None else number
    torch.set_num_threads(1)
    try:
        if number == 1:
            yield Threads(None)
            return
        with ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Threads(pool)
    finally:
        torch.set_num_threads(before)


def over_blocks(
    labeled: Labeled, function: Callable[[Tensor, Tensor], T], on: Threads
) -> Iterator[T]:
    """Yield a function's result for each block of rows and classes, in their order."""
    size = max(1, _NUMBERS_AT_ONCE // max(labeled.width, labeled.num_classes))
    starts = range(0, len(labeled), size)
    for first in range(0, len(starts), _BLOCKS_AT_ONCE):
        window = starts[first : first + _BLOCKS_AT_ONCE]
        blocks = [slice(start, start + size) for start in window]
        yield from on.map(lambda rows: function(*labeled.take(rows)), blocks)


class Moments(NamedTuple):
    """What the rows have in common."""

    mean_D: Tensor
    variance: float
    """Of an entry, around its column's mean; the mean over columns."""


def moments(labeled: Labeled, on: Threads) -> Moments:
    """Return the mean row and the mean variance, in float64."""

    def sums_of(row_BD: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        wide_BD = row_BD.double()
        return wide_BD.sum(dim=0), wide_BD.square().sum()

    total_D = torch.zeros(labeled.width, dtype=torch.float64)
    squares = torch.zeros((), dtype=torch.float64)
    for sum_D, square in over_blocks(labeled, sums_of, on):
        total_D += sum_D
        squares += square
    mean_D = total_D / len(labeled)
    variance = float(squares / len(labeled) - mean_D.square().sum()) / labeled.width
    return Moments(mean_D, max(0.0, variance))
