"""Beam transforms that every data stage shares. An element is a `RecordBatch`, never a row.

A shuffle carries `(bucket, Arrow IPC bytes up to about 1 MB)`. A stage looks like this:

    pipeline | ReadTables(urls)                          batches of rows
    batches  | SortIntoFiles(folder, "kept-", ...)       sorted Parquet files, and a Part for each
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection, TaggedOutput

from openalign.engines.arrow_bytes import gathered
from openalign.engines.buckets import CutByBucket, hash_buckets
from openalign.engines.parts import Part
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import table_file
from openalign.files.tables import write_table

BATCH_ROWS = 65_536
"""Rows in a batch that is read. Batches of 30k to 125k rows are equally fast."""


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
class Numbers(beam.PTransform[Any, Any]):
    """Hand out the numbers below a count, spread over the workers."""

    count: int

    def expand(self, pipeline: beam.Pipeline) -> PCollection[int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle of numbers."""
        numbers: Any = (
            pipeline
            | "Start" >> beam.Impulse()
            | "Count" >> beam.FlatMap(self._keyed).with_output_types(tuple[int, int])
            | "Spread" >> beam.GroupByKey()
            | "Take" >> beam.MapTuple(_key).with_output_types(int)
        )
        return numbers

    def _keyed(self, _: bytes) -> Iterator[tuple[int, int]]:
        yield from ((number, 0) for number in range(self.count))


def _key(number: int, _: Iterable[int]) -> int:
    return number


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
    beside: Callable[[str, str, pa.Table], DataFile] | None = None
    """Writes one more file for each: called with the folder, the file's name and its rows."""

    def expand(self, batches: PCollection[pa.RecordBatch]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle and the write."""
        file_of = partial(hash_buckets, by=self.by, num_buckets=self.num_files)
        write = beam.FlatMapTuple(self._write).with_output_types(str, tallies=tuple[str, bytes])
        written: Any = (
            batches
            | "Cut" >> CutByBucket(self.num_files, file_of)
            | "Gather" >> beam.GroupByKey()
            | "Write" >> write.with_outputs("tallies", main="parts")
        )
        if self.tallies is None:
            return written["parts"]
        tallied: Any = written["tallies"] | "Tally" >> self.tallies.merge
        both: Any = (written["parts"], tallied) | beam.Flatten()
        return both

    def _write(self, bucket: int, pieces: Iterable[bytes]) -> Iterator[Any]:
        rows = gathered(pieces)
        # All columns break ties; rows equal in `sort_by` would otherwise keep their arrival order.
        rows = rows.sort([*self.sort_by, *(c for c in rows.columns if c not in self.sort_by)])
        counts: dict[str, int] = {}
        if self.finish is not None:
            rows, counts = self.finish(rows)
        table = rows.to_arrow().cast(self.schema)
        name = table_file(self.table, bucket, self.num_files)
        files = [write_table(self.folder, name, table)]
        if self.beside is not None:
            files.append(self.beside(self.folder, name, table))
        yield Part(files=files, counts=counts).to_json()
        if self.tallies is not None:
            yield from (TaggedOutput("tallies", piece) for piece in self.tallies.of(rows))
