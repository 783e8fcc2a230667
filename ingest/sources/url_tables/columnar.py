"""Rows of Parquet and Arrow files."""

from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from openalign.engines.batches import BATCH_ROWS
from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables.content import open_seekable
from openalign.ingest.sources.url_tables.rows import Rows
from openalign.ingest.sources.url_tables.sound import sound

_ARROW_FILE = b"ARROW1"


def parquet_schema(url: str, source: TableSource) -> pa.Schema:
    """Return a Parquet file's columns."""
    del source
    with open_seekable(url) as file:
        return pq.ParquetFile(file).schema_arrow


def parquet_rows(url: str, source: TableSource, columns: Sequence[str]) -> Iterator[Rows]:
    """Yield columns of a Parquet file."""
    del source
    with open_seekable(url) as file:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=list(columns)):
            yield Rows(sound(batch))


def arrow_schema(url: str, source: TableSource) -> pa.Schema:
    """Return the columns of an Arrow file, or of an Arrow stream as `datasets` writes it."""
    del source
    with open_seekable(url) as file:
        return _open_arrow(file).schema


def arrow_rows(url: str, source: TableSource, columns: Sequence[str]) -> Iterator[Rows]:
    """Yield columns of an Arrow file or stream; small batches are put together."""
    del source
    with open_seekable(url) as file:
        names = _open_arrow(file).schema.names
        # Other columns, such as the images themselves, are not read.
        options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns])
        held: list[pa.RecordBatch] = []
        for batch in _batches(_open_arrow(file, options)):
            held.append(sound(batch))
            if sum(batch.num_rows for batch in held) >= BATCH_ROWS:
                yield _together(held)
                held = []
        if held:
            yield _together(held)


def _open_arrow(file: IO[bytes], options: pa.ipc.IpcReadOptions | None = None) -> Any:
    file.seek(0)
    is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    file.seek(0)
    opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
    return opened(file, options=options)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from (reader.get_batch(n) for n in range(reader.num_record_batches))
    else:
        yield from reader


def _together(batches: Sequence[pa.RecordBatch]) -> Rows:
    table = pa.Table.from_batches(batches).combine_chunks()
    return Rows(table.to_batches()[0] if table.num_rows else batches[0])
