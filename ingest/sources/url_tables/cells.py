"""Rows of columns as Python's values."""

from typing import Any

import msgspec
import pyarrow as pa

from openalign.ingest.sources.url_tables.text import as_text, is_list, is_text

JSON_CELLS = pa.opaque(pa.large_string(), "json", "openalign")
"""Type of a column whose cells are values of any kind, each as JSON."""

_JSON = msgspec.json.Decoder()


def as_records(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch, with each byte of a text that is not UTF-8 as U+FFFD.

    A time keeps no digits below a microsecond. One in a year that Python does not know is text.
    """
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if kind == JSON_CELLS:
        texts = column.storage.to_pylist()
        return [None if text is None else _JSON.decode(text) for text in texts]
    if is_text(kind) or (is_list(kind) and is_text(kind.value_type)):
        column = as_text(column)
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:
    if pa.types.is_dictionary(cell.type):
        cell = cell.value
    if not cell.is_valid:
        return None
    if isinstance(cell, pa.StructScalar):
        return {name: _value(cell[name]) for name in cell}
    if is_list(cell.type):
        return [_value(each) for each in cell.values]
    if pa.types.is_map(cell.type):
        return [tuple(_value(pair).values()) for pair in cell.values]
    try:
        return _in_microseconds(cell).as_py()
    except (ValueError, OverflowError):
        return cell.cast(pa.string()).as_py()


def _in_microseconds(cell: Any) -> Any:
    kind = cell.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return cell.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return cell.cast(pa.duration("us"), safe=False)
    if pa.types.is_time64(kind):
        return cell.cast(pa.time64("us"), safe=False)
    return cell
