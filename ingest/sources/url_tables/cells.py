"""Rows of columns as Python's values."""

from typing import Any

import msgspec
import pyarrow as pa

from openalign.ingest.sources.url_tables.text import as_text, is_list, is_text

JSON_CELLS = pa.opaque(pa.large_string(), "json", "openalign")
"""Type of a column whose cells are values of any kind, each as JSON."""

_JSON = msgspec.json.Decoder()
_UNKNOWN = (ValueError, OverflowError)
"""What Arrow raises for a time that Python does not know."""


def as_records(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch, with each byte of a text that is not UTF-8 as U+FFFD.

    A time keeps no digits below a microsecond. One in a year that Python does not know is text, and
    one in a zone that is not known is text in UTC.
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
    if pa.types.is_timestamp(kind) and not _is_known(kind.tz):
        return [f"{text}Z" if text else None for text in _in_utc(column).to_pylist()]
    try:
        return column.to_pylist()
    except _UNKNOWN:
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
    except _UNKNOWN:
        return cell.cast(pa.string()).as_py()


def _is_known(zone: str | None) -> bool:
    try:
        pa.scalar(0, pa.timestamp("s", zone)).as_py()
    except (ValueError, KeyError):  # by Arrow, by Python's libraries
        return False
    return True


def _in_utc(column: pa.Array) -> pa.Array:
    return column.cast(pa.int64()).cast(pa.timestamp(column.type.unit)).cast(pa.string())


def _in_microseconds(cell: Any) -> Any:
    kind = cell.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return cell.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return cell.cast(pa.duration("us"), safe=False)
    if pa.types.is_time64(kind):
        return cell.cast(pa.time64("us"), safe=False)
    return cell
