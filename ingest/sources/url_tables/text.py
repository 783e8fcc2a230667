"""Columns of text, of every type that writers give them, as text in UTF-8."""

import pyarrow as pa

_TEXTS = (
    *(pa.string(), pa.large_string(), pa.string_view()),
    *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.null()),
)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds text, or nothing at all; categories count as what they name."""
    return (kind.value_type if pa.types.is_dictionary(kind) else kind) in _TEXTS


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a column holds lists of values."""
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def as_text(column: pa.Array) -> pa.Array:
    """Return a column of text, or of lists of it, with each byte that is not UTF-8 as U+FFFD.

    Text columns of Parquet are not always UTF-8: Spark writes whatever bytes it was given.
    """
    if not is_list(column.type):
        return _as_utf8(column if is_text(column.type) else column.cast(pa.large_string()))
    lists = column.cast(pa.large_list(pa.large_binary()))
    try:
        return lists.cast(pa.large_list(pa.large_string()))
    except pa.ArrowInvalid:
        decoded = [
            None if cells is None else [_decode(cell) for cell in cells]
            for cells in lists.to_pylist()
        ]
        return pa.array(decoded, pa.large_list(pa.large_string()))


def _as_utf8(column: pa.Array) -> pa.Array:
    cells = column.cast(pa.large_binary())  # a cast from bytes checks them
    try:
        return cells.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array([_decode(cell) for cell in cells.to_pylist()], pa.large_string())


def _decode(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode(errors="replace")
