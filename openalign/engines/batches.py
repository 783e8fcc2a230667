"""The Beam plumbing that every data stage shares. The element is a `RecordBatch`, never a row.

What crosses a shuffle is `(bucket, Arrow IPC bytes up to about 1 MB)`; what a job counts comes out
of it as data (`Parts`), never from runner metrics, because Spark reports attempted ones only.
A stage reads like this:

    pipeline | ReadTables(urls)                          batches of rows
    batches  | SortIntoFiles(folder, "kept", ...)        sorted Parquet files, and a Part for each
    parts    | WriteSummary(url)                         what `run_to_summary` returns
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.coders import Coder
from apache_beam.coders.typecoders import registry
from apache_beam.pvalue import PCollection

from openalign.engines.runners import run_job
from openalign.errors import StageError
from openalign.files import storage
from openalign.files.hashing import canonical_json, hash64_expr
from openalign.files.manifest import DataFile
from openalign.files.shards import write_table

BATCH_ROWS = 65_536
"""Rows in a batch that is read; 30k to 125k measured alike."""

SHUFFLE_BYTES = 1 << 20
"""Upper size of a value that crosses a shuffle: larger cost more a byte, smaller more a call."""


# Half the bytes of text for less time than a shuffle takes to copy them.
_IPC_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class ArrowCoder(Coder):
    """Arrow IPC for the edges that a runner does not fuse: pickle ships a slice's whole parent."""

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


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one bundle of work adds to a job's summary; travels as JSON."""

    files: list[DataFile] = field(default_factory=list[DataFile])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """Return the part as one line."""
        return canonical_json(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A job's parts put together: files in name order, counts added up, facts in a list."""

    files: list[DataFile]
    counts: Counter[str]
    facts: list[dict[str, Any]]


@dataclass
class Paths(beam.PTransform[Any, Any]):
    """Hand out files, spread over the workers.

    The URLs travel in the job's graph, compressed: 100,000 take 0.2 MB where they are numbered and
    2.6 MB where their names are random, of the 10 MB that Dataflow lets a graph have.
    """

    urls: Sequence[str]

    def expand(self, pipeline: beam.Pipeline) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle of paths.

        Beam's own `Create` would put them into the graph twice, its `Reshuffle` pickle a time
        beside each.
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

    def expand(self, pipeline: beam.Pipeline) -> PCollection[pa.RecordBatch]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        read: Any = beam.FlatMap(read_batches, self.columns).with_output_types(pa.RecordBatch)
        return pipeline | Paths(self.urls) | "Read" >> read


def read_batches(url: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield a Parquet file's rows, `BATCH_ROWS` at a time."""
    with storage.open_read(url) as source:
        wanted = list(columns) if columns is not None else None
        yield from pq.ParquetFile(source).iter_batches(BATCH_ROWS, columns=wanted)


@dataclass
class SortIntoFiles(beam.PTransform[Any, Any]):
    """Write rows to `<folder>/<name>-00003-of-00008.parquet`, each file sorted, as Parts.

    A row's file is decided by the hash of its `by` column and its place by `sort_by`, so that the
    bytes are the same for any bundling, worker count or arrival order. `finish` sees each file's
    sorted rows before they are written and may drop some, counting what it drops.
    """

    folder: str
    name: str
    schema: pa.Schema
    num_files: int
    by: str = "key"
    sort_by: Sequence[str] = ("key",)
    finish: Callable[[pl.DataFrame], tuple[pl.DataFrame, dict[str, int]]] | None = None

    def expand(self, batches: PCollection[pa.RecordBatch]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle and the write."""
        cut: Any = batches | "Cut" >> beam.FlatMap(
            cut_by_hash, by=self.by, num_buckets=self.num_files
        ).with_output_types(tuple[int, bytes])
        return (
            cut
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(self._write).with_output_types(str)
        )

    def _write(self, bucket: int, pieces: Iterable[bytes]) -> str:
        rows = pl.concat([pl.DataFrame(from_ipc(piece)) for piece in pieces])
        # All columns break ties, or rows equal in `sort_by` would keep their order of arrival.
        rows = rows.sort([*self.sort_by, *(c for c in rows.columns if c not in self.sort_by)])
        counts: dict[str, int] = {}
        if self.finish is not None:
            rows, counts = self.finish(rows)
        table = rows.to_arrow().cast(self.schema)
        name = f"{self.name}-{bucket:05d}-of-{self.num_files:05d}.parquet"
        return Part(files=[write_table(self.folder, name, table)], counts=counts).to_json()


def cut_by_hash(batch: pa.RecordBatch, *, by: str, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Cut a batch into pieces of about `SHUFFLE_BYTES`, each of one bucket of `hash64(by)`."""
    rows = pl.DataFrame(batch)
    if rows.is_empty():
        return
    buckets = rows.select(bucket=hash64_expr(by) % num_buckets).to_series()
    for bucket in buckets.unique().sort():
        yield from ((bucket, piece) for piece in to_pieces(rows.filter(buckets == bucket)))


def to_pieces(rows: pl.DataFrame) -> Iterator[bytes]:
    """Return rows as Arrow IPC bytes, each piece of about `SHUFFLE_BYTES` at most."""
    num_pieces = max(1, -(-int(rows.estimated_size()) // SHUFFLE_BYTES))
    for piece in rows.iter_slices(-(-rows.height // num_pieces)):
        for batch in piece.to_arrow().combine_chunks().to_batches():
            yield to_ipc(batch)


@dataclass
class CollectLines(beam.PTransform[Any, Any]):
    """Bring all lines of a job into one sorted list, which comes also when there is none.

    Beam's own `ToList` would send them pickled.
    """

    def expand(self, lines: PCollection[str]) -> PCollection[list[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle."""
        start: Any = lines.pipeline | "Start" >> beam.Create([""], reshuffle=False)
        collected: Any = (
            (start, lines)
            | "Flatten" >> beam.Flatten()
            | "Key" >> beam.Map(_under_one_key).with_output_types(tuple[int, str])
            | "Gather" >> beam.GroupByKey()
            | "Sort" >> beam.MapTuple(_sorted).with_output_types(list[str])
        )
        return collected


def _under_one_key(line: str) -> tuple[int, str]:
    return 0, line


def _sorted(_: int, lines: Iterable[str]) -> list[str]:
    return sorted(line for line in lines if line)


@dataclass
class WriteSummary(beam.PTransform[Any, Any]):
    """Put all Parts of a job into one JSON file, in an order that does not depend on the runner."""

    url: str

    def expand(self, parts: PCollection[str]) -> PCollection[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the write; it happens also when there is not one Part."""
        collected: Any = parts | "Collect" >> CollectLines()
        return collected | "Write" >> beam.Map(self._write)

    def _write(self, parts: list[str]) -> None:
        storage.write_text(self.url, "".join(line + "\n" for line in parts))


def run_to_summary(
    build: Callable[[beam.Pipeline], None], url: str, beam_options: Sequence[str]
) -> Summary | None:
    """Run a job that ends in `WriteSummary(url)`; None after a dry run.

    Raises:
        StageError: the job ended, and what its workers wrote cannot be seen from here.
    """
    storage.remove(url)  # an earlier attempt's would tell of other files
    if not run_job(build, beam_options):
        return None
    if not storage.exists(url):
        raise StageError(
            f"the job ended, and its summary {url} cannot be seen from here",
            hint="set the pipeline's root to a URL or a mounted folder that every worker shares",
        )
    return read_summary(url)


def read_summary(url: str) -> Summary:
    """Return what the Parts of a finished job add up to."""
    parts = [json.loads(line) for line in storage.read_text(url).splitlines()]
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
    files = [DataFile(**entry) for part in parts for entry in part["files"]]
    return Summary(
        files=sorted(files, key=lambda f: f.name),
        counts=counts,
        facts=[part["facts"] for part in parts if part["facts"]],
    )
