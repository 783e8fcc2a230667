"""Rows cut by bucket for a shuffle: held until they are many, sorted once, sliced.

However many buckets there are, a row is copied once. What a piece costs by itself is spread over
many rows, since with more buckets more rows are held.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from openalign.engines import arrow_bytes
from openalign.engines.arrow_bytes import to_ipc
from openalign.files.hashing import hash64_expr

Buckets = npt.NDArray[np.int64]
BucketsOf = Callable[[pa.RecordBatch], Buckets]
"""Return the bucket of each row."""

PIECE_BYTES = 1 << 15
"""Rows are held until an average piece has so many bytes: it costs as much to write as they do."""

MAX_HELD_BYTES = 1 << 27
"""Most bytes of rows that a worker holds; while it cuts them, it needs as much again."""


@dataclass
class CutByBucket(beam.PTransform[Any, Any]):
    """Cut batches into `(bucket, bytes)`, for a shuffle."""

    num_buckets: int
    buckets_of: BucketsOf

    def expand(self, batches: PCollection[pa.RecordBatch]) -> PCollection[tuple[int, bytes]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the cut."""
        cutting: Any = beam.ParDo(_CutBatches(self.buckets_of, self.num_buckets))
        return batches | "Cut" >> cutting.with_output_types(tuple[int, bytes])


class BucketCutter:
    """Holds batches until they are worth a cut."""

    def __init__(self, buckets_of: BucketsOf, num_buckets: int) -> None:
        self._buckets_of = buckets_of
        self._hold_bytes = min(num_buckets * PIECE_BYTES, MAX_HELD_BYTES)
        self._held: list[pa.RecordBatch] = []
        self._num_bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
        """Take a batch in; yield the pieces of all that is held, if that is enough."""
        self._held.append(batch)
        self._num_bytes += batch.nbytes
        if self._num_bytes >= self._hold_bytes:
            yield from self.flush()

    def flush(self) -> Iterator[tuple[int, bytes]]:
        """Yield the pieces of all that is held."""
        held, self._held, self._num_bytes = self._held, [], 0
        for batch in pa.Table.from_batches(held).combine_chunks().to_batches() if held else ():
            yield from cut(batch, self._buckets_of(batch))


class _CutBatches(beam.DoFn):
    def __init__(self, buckets_of: BucketsOf, num_buckets: int) -> None:
        self._buckets_of = buckets_of
        self._num_buckets = num_buckets

    def start_bundle(self) -> None:
        self._cutter = BucketCutter(self._buckets_of, self._num_buckets)

    def process(self, element: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from self._cutter.add(element)

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from map(at_the_end, self._cutter.flush())


def at_the_end(value: Any) -> Any:
    """Return a value as `finish_bundle` must yield it."""
    return WindowedValue(value, GlobalWindow().max_timestamp(), (GlobalWindow(),))


def hash_buckets(batch: pa.RecordBatch, *, by: str, num_buckets: int) -> Buckets:
    """Return the bucket of each row: the hash of a string column, modulo the number of buckets."""
    rows = pl.DataFrame(batch.select([by]))
    return rows.select((hash64_expr(by) % num_buckets).cast(pl.Int64)).to_series().to_numpy()


def cut(batch: pa.RecordBatch, buckets: Buckets) -> Iterator[tuple[int, bytes]]:
    """Yield a batch's rows in pieces of one bucket each, in the order of the buckets.

    Rows of a bucket stay in order. A piece has `SHUFFLE_BYTES` at most, but one row at least.
    """
    if not batch.num_rows:
        return
    order = np.argsort(buckets, kind="stable")
    batch, buckets = batch.take(pa.array(order)), buckets[order]
    first = np.flatnonzero(np.concatenate([[True], buckets[1:] != buckets[:-1]]))
    ends = _row_ends(batch)
    for start, end in pairwise([*first.tolist(), batch.num_rows]):
        at = start
        while at < end:
            most = (ends[at - 1] if at else 0) + arrow_bytes.SHUFFLE_BYTES
            fitting = int(np.searchsorted(ends[at:end], most, side="right"))
            piece = batch.slice(at, max(fitting, 1))
            yield int(buckets[at]), to_ipc(piece)
            at += piece.num_rows


def _row_ends(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return how many bytes the rows come to, up to and including each."""
    num_bytes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_primitive(column.type):
            num_bytes += max(1, column.type.bit_width // 8)
        else:
            # A string's offset takes four bytes.
            num_bytes += (
                pl.Series(column).str.len_bytes().fill_null(0).to_numpy().astype(np.int64) + 4
            )
    return np.cumsum(num_bytes)
