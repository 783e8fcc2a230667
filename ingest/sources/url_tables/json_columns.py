"""Columns of JSON objects, whose members may hold a value of any kind in any row.

What a row holds touches no other row: its texts are read the same whatever lies in the same block.
Only what a condition compares is judged by most of its column. A row with a list or object where a
single value belongs is a bad one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables.cells import JSON_CELLS
from openalign.ingest.sources.url_tables.rows import Rows

_Object = Mapping[str, Any]
_NESTED = (list, dict)
_NO_ARRAY = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)


def schema_of(objects: Sequence[_Object]) -> pa.Schema:
    """Return the members of objects, each with the kind of its single values, or else its lists."""
    names = dict.fromkeys(name for row in objects for name in row)
    return pa.schema([(name, _type_of([row.get(name) for row in objects])) for name in names])


def rows_of(
    objects: Sequence[_Object], columns: Sequence[str], source: TableSource, *, num_bad: int = 0
) -> Rows:
    """Return columns of objects. `num_bad` rows were bad before."""
    named = source.columns
    compared = {condition.column for condition in source.conditions}
    single = {named.url, named.language, named.sha256, *compared}.intersection(columns)
    values_of = {name: [row.get(name) for row in objects] for name in columns}
    kinds = {kind for name in (*single, named.caption) for kind in set(map(type, values_of[name]))}
    whole = objects
    if not kinds.isdisjoint(_NESTED):  # few files have such rows
        whole = [row for row in objects if _is_row(row, single, named.caption)]
        values_of = {name: [row.get(name) for row in whole] for name in columns}

    def column(name: str) -> pa.Array:
        values = values_of[name]
        if name == named.caption:
            return _captions(values)
        if name in compared:
            return comparable(values)
        return _texts(values) if name in single else _as_they_are(values)

    batch = pa.record_batch({name: column(name) for name in columns})
    return Rows(batch, num_bad + len(objects) - len(whole))


def comparable(values: Sequence[object]) -> pa.Array:
    """Return single values as conditions compare them.

    If there are numbers and others, they are numbers where most are, else texts. What is no number
    then says nothing.
    """
    try:
        return pa.array(values)
    except _NO_ARRAY:
        num_numbers = sum(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        if 2 * num_numbers > sum(value is not None for value in values):
            return pa.array([_number(value) for value in values], pa.float64())
        return _texts(values)


def _type_of(values: Sequence[object]) -> pa.DataType:
    single = [v for v in values if v is not None and not isinstance(v, _NESTED)]
    lists = [v for v in values if isinstance(v, list)]
    found = single or lists or values
    try:
        return pa.array(found).type
    except _NO_ARRAY:
        return pa.string()


def _is_row(row: _Object, single: set[str], caption: str) -> bool:
    texts = row.get(caption)
    is_odd = isinstance(texts, dict) or (
        isinstance(texts, list) and any(isinstance(text, _NESTED) for text in texts)
    )
    return not is_odd and not any(isinstance(row.get(name), _NESTED) for name in single)


def _captions(values: Sequence[Any]) -> pa.Array:
    if not any(isinstance(value, list) for value in values):
        return _texts(values)
    lists = [value if isinstance(value, list) or value is None else [value] for value in values]
    texts = [None if cells is None else [_text(cell) for cell in cells] for cells in lists]
    return pa.array(texts, pa.list_(pa.string()))


def _texts(values: Sequence[object]) -> pa.Array:
    """Return values as text, numbers as JSON writes them."""
    try:
        return pa.array(values, pa.string())
    except _NO_ARRAY:
        return pa.array([_text(value) for value in values], pa.string())


def _as_they_are(values: Sequence[object]) -> pa.Array:
    encoded = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return pa.ExtensionArray.from_storage(JSON_CELLS, pa.array(encoded, pa.large_string()))


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
