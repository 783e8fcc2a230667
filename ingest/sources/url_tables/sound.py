"""Columns of Parquet and Arrow files, checked and of types that Arrow's functions take.

A file says where each of its texts begins and ends. Arrow believes it: a wrong number of a damaged
file would make it read memory that is not its own, and the process would die without a word.
"""

from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from openalign.ingest.sources.url_tables.text import as_text, is_list, is_text

_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}
_VIEWS = (pa.string_view(), pa.binary_view())
_LISTS: dict[type[pa.DataType], Callable[[pa.DataType], pa.DataType]] = {
    pa.ListType: pa.list_,
    pa.LargeListType: pa.large_list,
    pa.ListViewType: pa.list_view,
    pa.LargeListViewType: pa.large_list_view,
}


def sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose columns may be read and filtered: views become plain columns.

    Raises:
        ArrowInvalid: a column points outside its memory. Text and lists of it need not be UTF-8.
    """
    for column in batch.columns:
        _check(column)
    return pa.record_batch([_plain(column) for column in batch.columns], batch.schema.names)


def _check(column: pa.Array) -> None:
    kind = column.type
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        column.validate()  # it points nowhere, and a date that is none harms nobody
        return
    of_bytes = _of_bytes(kind)
    (column if of_bytes == kind else column.view(of_bytes)).validate(full=True)


def _of_bytes(kind: pa.DataType) -> pa.DataType:
    """Return a type of text, or of lists of it, with bytes in place of the text."""
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _of_bytes(kind.value_type), kind.ordered)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_of_bytes(kind.value_type), kind.list_size)
    if is_list(kind):
        return _LISTS[type(kind)](_of_bytes(kind.value_type))
    return _BYTES.get(kind, kind)


def _plain(column: pa.Array) -> pa.Array:
    """Return a column without views and runs, for which Arrow lacks many functions."""
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.call_function("run_end_decode", [column]))
    if not _has_views(kind):
        return column
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _plain(column.dictionary))
    if is_text(kind) or (is_list(kind) and kind.value_type in _VIEWS):
        return as_text(column)
    column.validate(full=True)  # polars believes that texts are UTF-8
    return pl.Series(column).to_arrow(compat_level=pl.CompatLevel.oldest())


def _has_views(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _has_views(kind.value_type)
    return kind in _VIEWS or any(_has_views(kind.field(n).type) for n in range(kind.num_fields))
