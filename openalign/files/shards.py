"""Samples and the plain webdataset tars that hold them, with an index for random reads.

A tar's bytes depend on its samples alone: names in the order given, mtime 0, uid 0. Beside
`shard-00000-00000.tar` stands `shard-00000-00000.index.parquet` (`schemas.INDEX`).
"""

import io
import os
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.schemas import INDEX

GROUP_ROWS = 1 << 16
"""Rows of a row group, where a file is written batch by batch."""

_MOSTLY_DISTINCT = ("key", "image_key", "image_url", "raw_image_url", "page_url", "alt_text")
"""Columns that a dictionary makes larger, and four times slower to read."""

_HEADER_BYTES = 512


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a shard: its key and its members by extension, written in that order."""

    key: str
    members: Mapping[str, bytes]


def index_name(shard: str) -> str:
    """Return the name of a shard's index."""
    return shard.removesuffix(".tar") + ".index.parquet"


def write_shard(folder: str, shard: str, samples: Iterable[Sample]) -> list[DataFile]:
    """Write a tar and its index, each in one step, the tar first; return both."""
    rows: dict[str, list[object]] = {name: [] for name in INDEX.names}
    num_samples = 0
    with (
        storage.local_target(storage.join(folder, shard)) as target,
        # USTAR has no extended headers: one block precedes each member's content.
        tarfile.open(target.path, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for sample in samples:
            num_samples += 1
            for extension, content in sample.members.items():
                member = tarfile.TarInfo(f"{sample.key}.{extension}")
                member.size = len(content)
                member.mode = 0o444
                row = (sample.key, extension, tar.offset + _HEADER_BYTES, len(content))
                tar.addfile(member, io.BytesIO(content))
                for name, value in zip(INDEX.names, row, strict=True):
                    rows[name].append(value)
    assert target.written is not None
    tar_file = DataFile(
        name=shard,
        num_rows=num_samples,
        num_bytes=target.written.num_bytes,
        sha256=target.written.sha256,
    )
    table = pa.table(rows, schema=INDEX)
    return [tar_file, write_table(folder, index_name(shard), table)]


def write_table(folder: str, name: str, table: pa.Table) -> DataFile:
    """Write a Parquet file in one step."""
    with open_table(folder, name, table.schema, group_rows=1 << 20) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    return writer.file


class TableWriter:
    """Writes batches to a Parquet file in row groups of one size.

    The file's bytes are the same however the batches are cut.
    """

    def __init__(self, writer: pq.ParquetWriter, *, group_rows: int) -> None:
        self._writer = writer
        self._group_rows = group_rows
        self._held: list[pa.RecordBatch] = []
        self._num_held = 0
        self.num_rows = 0
        self.file: DataFile
        """The file, once it is closed."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        while batch.num_rows:
            part = batch.slice(0, self._group_rows - self._num_held)
            batch = batch.slice(part.num_rows)
            self._held.append(part)
            self._num_held += part.num_rows
            self.num_rows += part.num_rows
            if self._num_held == self._group_rows:
                self.flush()

    def flush(self) -> None:
        """Write what is held as a row group."""
        if self._held:
            # In one piece: where chunks end decides where Parquet gives up a dictionary.
            table = pa.Table.from_batches(self._held).combine_chunks()
            self._writer.write_table(table, self._num_held)
        self._held, self._num_held = [], 0


@contextmanager
def open_table(
    folder: str, name: str, schema: pa.Schema, *, group_rows: int = GROUP_ROWS
) -> Generator[TableWriter]:
    """Yield a writer of a Parquet file that appears, whole, when the block ends well."""
    with (
        storage.local_target(storage.join(folder, name)) as target,
        pq.ParquetWriter(
            target.path,
            schema,
            compression="zstd",
            use_dictionary=[n for n in schema.names if n not in _MOSTLY_DISTINCT],  # pyright: ignore[reportArgumentType]
        ) as parquet,
    ):
        writer = TableWriter(parquet, group_rows=group_rows)
        yield writer
        writer.flush()
    assert target.written is not None
    writer.file = DataFile(
        name=name,
        num_rows=writer.num_rows,
        num_bytes=target.written.num_bytes,
        sha256=target.written.sha256,
    )


def read_table(url: str, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file."""
    with storage.open_read(url) as source:
        return pq.read_table(source, columns=columns)


class ShardReader:
    """Reads members of shards by offset, with one positioned read each, from any thread.

    The `max_open` local shards that were read last stay open. Shards are opened on first use, so
    a reader can be handed to another process.
    """

    def __init__(self, folder: str, *, max_open: int = 128) -> None:
        self._folder = folder
        self._local: Path | None = storage.local_path(folder) if storage.is_local(folder) else None
        self._max_open = max_open
        self._descriptors: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, shard: str, offset: int, length: int) -> bytes:
        """Return `length` bytes of a shard from `offset`."""
        if self._local is None:
            return storage.read_range(storage.join(self._folder, shard), offset, length)
        with self._lock:
            # A copy: another thread may close the descriptor, and the system use its number again.
            descriptor = os.dup(self._open(self._local, shard))
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close every descriptor."""
        with self._lock:
            while self._descriptors:
                os.close(self._descriptors.popitem()[1])

    def _open(self, folder: Path, shard: str) -> int:
        if shard not in self._descriptors:
            while len(self._descriptors) >= self._max_open:
                os.close(self._descriptors.popitem(last=False)[1])
            self._descriptors[shard] = os.open(folder / shard, os.O_RDONLY)
        self._descriptors.move_to_end(shard)
        return self._descriptors[shard]

    def __reduce__(self) -> tuple[Callable[..., "ShardReader"], tuple[str]]:
        return partial(ShardReader, max_open=self._max_open), (self._folder,)
