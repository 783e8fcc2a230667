"""The contents of tables, as the writers of their formats write them."""

from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from tables_read import CAT, DOG

ROWS = [(CAT, "a cat"), (DOG, "ein Hündchen")]
COLUMNS = {"id": [1, 2], "url": [CAT, DOG], "caption": ["a cat", "ein Hündchen"]}


def lines_of(values: dict[str, list[Any]], delimiter: str) -> bytes:
    rows = [list(values), *zip(*values.values(), strict=True)]
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows).encode()


def parquet(values: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(values), sink)
    return sink.getvalue().to_pybytes()


def arrow_file(values: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.feather.write_feather(pa.table(values), sink)
    return sink.getvalue().to_pybytes()


def arrow_stream(values: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(values)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return sink.getvalue().to_pybytes()


def objects(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
