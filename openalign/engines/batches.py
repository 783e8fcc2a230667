"""Beam transforms that every data stage shares. An element is a `RecordBatch`, never a row.

A shuffle carries `(bucket, Arrow IPC bytes up to about 1 MB)`. A stage looks like this:

    pipeline | ReadTables(urls)                          batches of rows
    batches  | SortIntoFiles(folder, "kept-", ...)       sorted Parquet files, and a Part for each
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.coders import Coder
from apache_beam.coders.typecoders import registry
from apache_beam.pvalue import PCollection, TaggedOutput

from openalign.engines.parts import Part
from openalign.files import storage
from openalign.files.hashing import hash64_expr
from openalign.files.names import table_file
from openalign.files.tables import write_table

BATCH_ROWS = 65_536
"""Rows in a batch that is read. Batches of 30k to 125k rows are equally fast."""

SHUFFLE_BYTES = 1 << 20
"""Upper size of a value in a shuffle. Larger values cost more a byte, smaller ones more a call."""


# Compression halves text in less time than a shuffle takes to copy it.
_IPC_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class ArrowCoder(Coder):
    """Arrow IPC for edges that a runner does not fuse: pickle would send a slice's whole parent."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Return the batch as an IPC stream."""
        return to_ipc(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Return the batch, without a copy."""
        return from_ipc(encoded)

    def is_deterministic(self) -> bool:
        """Batches are never keys."""
        return False


registry.register_coder(pa.RecordBatch, ArrowCoder)


def to_ipc(batch: pa.RecordBatch) -> bytes:
    """Return a batch as Arrow IPC bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_IPC_OPTIONS) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def from_ipc(encoded: bytes) -> pa.RecordBatch:
    """Return the batch that `to_ipc` wrote."""
    with pa.ipc.open_stream(encoded) as reader:
        return reader.read_next_batch()


@dataclass
class Paths(beam.PTransform[Any, Any]):
    """Hand out files, spread over the workers.

    The job's graph carries the URLs, compressed: 100,000 take 0.2 MB when they are numbered and
    2.6 MB when their names are random. Dataflow limits a graph to 10 MB.
    """

    urls: Sequence[str]

    def expand(self, pipeline: beam.Pipeline) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle of paths.

        Beam's own `Create` would put them into the graph twice, and its `Reshuffle` would pickle a
        timestamp with each.
        """
        paths: Any = (
            pipeline
            | "Start" >> beam.Impulse()
            | "Number" >> beam.FlatMap(self._number).with_output_types(tuple[int, str])
            | "Spread" >> beam.GroupByKey()
            | "Take" >> beam.FlatMapTuple(_values).with_output_types(str)
        )
        return paths

    def _number(self, _: bytes) -> Iterator[tuple[int, str]]:
        yield from enumerate(self.urls)


def _values(_: int, values: Iterable[str]) -> Iterable[str]:
    return values


@dataclass
class ReadTables(beam.PTransform[Any, Any]):
    """Read columns of Parquet files as batches; the paths are shuffled, the rows are not."""

    urls: Sequence[str]
    columns: Sequence[str] | None = None
    schema: pa.Schema | None = None

    def expand(self, pipeline: beam.Pipeline) -> PCollection[pa.RecordBatch]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        read: Any = beam.FlatMap(read_batches, self.columns, self.schema)
        return pipeline | Paths(self.urls) | "Read" >> read.with_output_types(pa.RecordBatch)


def read_batches(
    url: str, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield a Parquet file's rows, `BATCH_ROWS` at a time.

    With a schema its columns are read. Those that an earlier version did not write yet are null.
    """
    if schema is not None:
        columns = schema.names
    with storage.open_read(url) as source:
        wanted = list(columns) if columns is not None else None
        for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS, columns=wanted):
            yield batch if schema is None else _completed(batch, schema)


def _completed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    there = set(batch.schema.names)
    columns = [
        batch.column(column.name) if column.name in there else pa.nulls(batch.num_rows, column.type)
        for column in schema
    ]
    return pa.RecordBatch.from_arrays(columns, names=schema.names)


@dataclass(frozen=True, slots=True)
class FileTallies:
    """What is tallied of the rows of each file, beside writing them (`engines.tallies`)."""

    of: Callable[[pl.DataFrame], Iterable[tuple[str, bytes]]]
    merge: beam.PTransform[Any, Any]
    """Makes Parts of what `of` returns."""


@dataclass
class SortIntoFiles(beam.PTransform[Any, Any]):
    """Write rows to `<folder>/<table>00003-of-00008.parquet`, each file sorted, as Parts.

    The hash of a row's `by` column decides its file, and `sort_by` its position. So the bytes do
    not depend on bundling, worker count or arrival order. `finish` receives each file's sorted
    rows before they are written; it may drop rows and counts them.
    """

    folder: str
    table: str
    """The prefix of the file names, from `openalign.files.names`."""

    schema: pa.Schema
    num_files: int
    by: str = "key"
    sort_by: Sequence[str] = ("key",)
    finish: Callable[[pl.DataFrame], tuple[pl.DataFrame, dict[str, int]]] | None = None
    tallies: FileTallies | None = None

    def expand(self, batches: PCollection[pa.RecordBatch]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle and the write."""
        cut: Any = batches | "Cut" >> beam.FlatMap(
            cut_by_hash, by=self.by, num_buckets=self.num_files
        ).with_output_types(tuple[int, bytes])
        write = beam.FlatMapTuple(self._write).with_output_types(str, tallies=tuple[str, bytes])
        written: Any = (
            cut
            | "Gather" >> beam.GroupByKey()
            | "Write" >> write.with_outputs("tallies", main="parts")
        )
        if self.tallies is None:
            return written["parts"]
        tallied: Any = written["tallies"] | "Tally" >> self.tallies.merge
        both: Any = (written["parts"], tallied) | beam.Flatten()
        return both

    def _write(self, bucket: int, pieces: Iterable[bytes]) -> Iterator[Any]:
        rows = pl.concat([pl.DataFrame(from_ipc(piece)) for piece in pieces])
        # All columns break ties; rows equal in `sort_by` would otherwise keep their arrival order.
        rows = rows.sort([*self.sort_by, *(c for c in rows.columns if c not in self.sort_by)])
        counts: dict[str, int] = {}
        if self.finish is not None:
            rows, counts = self.finish(rows)
        table = rows.to_arrow().cast(self.schema)
        name = table_file(self.table, bucket, self.num_files)
        yield Part(files=[write_table(self.folder, name, table)], counts=counts).to_json()
        if self.tallies is not None:
            yield from (TaggedOutput("tallies", piece) for piece in self.tallies.of(rows))


def cut_by_hash(batch: pa.RecordBatch, *, by: str, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Cut a batch into pieces of about `SHUFFLE_BYTES`, each of one bucket of `hash64(by)`."""
    rows = pl.DataFrame(batch)
    if rows.is_empty():
        return
    buckets = rows.select(hash64_expr(by) % num_buckets).to_series().to_numpy()
    order = np.argsort(buckets, kind="stable")
    rows, buckets = rows[order], buckets[order]
    starts = np.flatnonzero(np.concatenate([[True], buckets[1:] != buckets[:-1]]))
    for start, end in pairwise([*starts.tolist(), len(buckets)]):
        bucket = int(buckets[start])
        yield from ((bucket, piece) for piece in to_ipc_pieces(rows[start:end]))


def to_ipc_pieces(rows: pl.DataFrame) -> Iterator[bytes]:
    """Return rows as Arrow IPC bytes, each piece of about `SHUFFLE_BYTES` at most."""
    num_pieces = max(1, -(-int(rows.estimated_size()) // SHUFFLE_BYTES))
    for piece in rows.iter_slices(-(-rows.height // num_pieces)):
        for batch in piece.to_arrow().combine_chunks().to_batches():
            yield to_ipc(batch)
