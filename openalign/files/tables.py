"""Parquet files: written in one step, with bytes that do not depend on how rows are batched."""

import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.manifest import DataFile

GROUP_ROWS = 1 << 16
"""Rows of a row group, where a file is written batch by batch."""

_MOSTLY_DISTINCT = ("key", "image_key", "image_url", "raw_image_url", "page_url", "alt_text")
"""Columns without a dictionary: it would make them larger, and four times slower to read."""


def write_table(folder: str, name: str, table: pa.Table) -> DataFile:
    """Write a Parquet file in one step."""
    with open_table(folder, name, table.schema, group_rows=1 << 20) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    return writer.file


class TableWriter:
    """Writes batches to a Parquet file in row groups of one size.

    The file's bytes do not depend on how the rows are cut into batches.
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
            # One chunk: chunk borders decide where Parquet abandons a dictionary.
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
    writer.file = DataFile.of(name, target.written, num_rows=writer.num_rows)


def num_rows_of(url: str) -> int:
    """Return the number of a Parquet file's rows."""
    with storage.open_read(url) as source:
        return int(pq.ParquetFile(source).metadata.num_rows)


def read_whole(url: str, schema: pa.Schema, *, what: str, hint: str) -> pa.Table:
    """Read a small Parquet file without nulls, which may be damaged; `what` says what it is.

    Raises:
        InputError: it is none, or lacks a value of a column.
    """
    content = storage.read_bytes(url)
    try:
        table = pq.read_table(io.BytesIO(content), schema=schema)
        table.validate(full=True)  # texts may not be UTF-8
    except (pa.ArrowException, OSError) as error:  # OSError: bytes that were changed
        raise InputError(f"{url}: is not {what}: {error}", hint=hint) from error
    for column in table.column_names:
        if table[column].null_count:  # as where a table of another sort has no such column
            raise InputError(f"{url}: is not {what}: `{column}` is missing", hint=hint)
    return table


def read_table(url: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file."""
    with storage.open_read(url) as source:
        return pq.read_table(source, columns=None if columns is None else list(columns))
