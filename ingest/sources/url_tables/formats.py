"""The table of formats, and what holds for all: the check of a file's columns and its rows."""

import difflib
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from openalign.errors import InputError
from openalign.files.lfs import hint_about
from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.table_layouts import layout_of_row, layouts_with
from openalign.ingest.sources.url_tables import columnar, delimited, json_values
from openalign.ingest.sources.url_tables.found import ENDINGS, format_of
from openalign.ingest.sources.url_tables.rows import DamagedTableError, Rows
from openalign.ingest.sources.url_tables.text import is_list, is_text


@dataclass(frozen=True, slots=True)
class Format:
    """How the files of a format are read."""

    schema: Callable[[str, TableSource], pa.Schema | None]
    """Return a file's columns; None where it holds nothing at all, as empty parts do."""

    rows: Callable[[str, TableSource, Sequence[str]], Iterator[Rows]]
    """Yield the columns that are named."""


_DELIMITED = Format(schema=delimited.schema, rows=delimited.rows)

FORMATS = {
    "parquet": Format(schema=columnar.parquet_schema, rows=columnar.parquet_rows),
    "arrow": Format(schema=columnar.arrow_schema, rows=columnar.arrow_rows),
    "csv": _DELIMITED,
    "tsv": _DELIMITED,
    "txt": _DELIMITED,
    "json": Format(schema=json_values.document_schema, rows=json_values.document_rows),
    "jsonl": Format(schema=json_values.lines_schema, rows=json_values.lines_rows),
}
_WANTED = {
    "url_column": "text",
    "path_column": "text",
    "caption_column": "text, or lists of it",
    "language_column": "text",
    "sha256_column": "text",
    "where": "text, numbers, dates or times",
}
_TYPED_ALONE = ("where", "carry_columns")
"""Settings whose columns no default and no layout names."""

_NAMES_BY_DEFAULT = ("url", "caption")

_OF_FIXED_SIZE = "Expected all lists to be of size="
"""How pyarrow's error begins where a list of a Parquet file's fixed size is null."""

_BY_DEFAULT = "parquet"
"""A file whose ending says nothing: some writers give none."""


def check_files(
    urls: Sequence[str], source: TableSource, *, url_setting: str = "url_column"
) -> None:
    """Check that files have every column that a source names; a damaged one may be among others.

    `url_setting` is what the setting of the first column is called.

    Raises:
        InputError: names the file, what is missing and what was found instead; or all are damaged.
    """
    damaged: list[DamagedTableError] = []
    for url in urls:
        try:
            check_file(url, source, url_setting=url_setting)
        except DamagedTableError as error:
            damaged.append(error)
    if len(damaged) == len(urls):
        raise damaged[0]


def check_file(url: str, source: TableSource, *, url_setting: str = "url_column") -> None:
    """Check that a file can be read and has every column that a source names.

    Raises:
        InputError: names the file, what is missing and what was found instead.
    """
    schema = _schema_of(url, source)
    if schema is None:
        return
    columns = source.columns
    is_of_urls = url_setting == "url_column"
    require = partial(_require, url, schema, is_of_urls=is_of_urls, layout=source.layout)
    for name, setting in (
        (columns.url, url_setting),
        (columns.language, "language_column"),
        (columns.sha256, "sha256_column"),
    ):
        if name:
            require(name, setting=setting, holds=is_text)
    require(columns.caption, setting="caption_column", holds=_is_caption)
    for name in (condition.column for condition in source.conditions):
        require(name, setting="where", holds=_is_comparable)
    for name in source.carry_columns:
        require(name, setting="carry_columns", holds=_is_anything)


def names_of_columns(url: str, source: TableSource) -> Sequence[str]:
    """Return the names of a file's columns; none where it holds nothing at all.

    Raises:
        DamagedTableError: the file is damaged; it is named.
    """
    schema = _schema_of(url, source)
    return schema.names if schema is not None else ()


def read_rows(url: str, source: TableSource) -> Iterator[Rows]:
    """Yield the columns of a file that a source uses.

    Raises:
        DamagedTableError: the file is damaged; it is named.
    """
    with _errors_name(url):
        yield from _format(url).rows(url, source, source.used_columns)


def _schema_of(url: str, source: TableSource) -> pa.Schema | None:
    with _errors_name(url):
        schema = _format(url).schema(url, source)
        if schema is not None:
            _ = schema.names  # those of a damaged file may be no text
    return schema


def _format(url: str) -> Format:
    return FORMATS[format_of(url) or _BY_DEFAULT]


@contextmanager
def _errors_name(url: str) -> Generator[None]:
    """Say which file an error of a library is about."""
    try:
        yield
    # pyarrow says of damaged names and numbers what Python says of them.
    except (
        *(pa.ArrowException, OSError, EOFError, zlib.error),
        *(UnicodeDecodeError, SystemError),
    ) as error:
        name = format_of(url)
        said = f"{url} cannot be read as {name or _BY_DEFAULT}: "
        if str(error).startswith(_OF_FIXED_SIZE):
            raise DamagedTableError(
                f"{said}pyarrow reads no null among lists of one fixed size",
                hint="write the column as lists of any size (polars: `.arr.to_list()`)",
            ) from error
        hint = f"its ending should say which format it has: {ENDINGS}"
        if name:
            hint = "the file is damaged, or has another format than its ending says"
        raise DamagedTableError(f"{said}{error}", hint=hint_about(url, hint)) from error


def _require(
    url: str,
    schema: pa.Schema,
    name: str,
    *,
    setting: str,
    holds: Callable[[pa.DataType], bool],
    is_of_urls: bool,
    layout: str,
) -> None:
    number = schema.names.count(name)
    if number == 0:
        raise InputError(
            f"{url} has no column `{name}`; it has {', '.join(schema.names)}",
            hint=hint_about(
                url,
                _hint_about_names(
                    name, schema.names, setting, is_of_urls=is_of_urls, layout=layout
                ),
            ),
        )
    if number > 1:
        raise InputError(
            f"{url} has {number} columns `{name}`; it has {', '.join(schema.names)}",
            hint="rename one of them; a file without a line of names can be given others with "
            "`harvest.source.header`"
            if is_of_urls
            else "rename one of them",
        )
    kind = schema.field(name).type
    if not holds(kind):
        raise InputError(
            f"{url}: column `{name}` holds {kind}, but must hold {_WANTED[setting]}",
            hint=f"name another one with `harvest.source.{setting}`",
        )


def _hint_about_names(
    name: str, names: Sequence[str], setting: str, *, is_of_urls: bool, layout: str
) -> str:
    """Return what to do about a column that is not among the names."""
    is_from_layout = bool(layout) and setting in ("url_column", "caption_column")
    was_typed = not is_from_layout and name not in _NAMES_BY_DEFAULT
    if was_typed and (close := _spelled_nearly(name, names)):
        return f"did you mean `{close}`?"
    if setting in _TYPED_ALONE:
        return f"`harvest.source.{setting}` names columns as the table spells them"
    if not is_of_urls:
        return (
            f"name it with `harvest.source.{setting}`; a table of web addresses is the source "
            "`table`"
        )
    if len(names) == 1 and setting == "caption_column":
        return "URLs alone are no pairs: ALIGN needs a text for each image, in a second column"
    return _hint_at_a_layout(names, layout) or (
        f"this is no table as `layout: {layout}` has it: name the columns in its place"
        if is_from_layout
        else f"name it with `harvest.source.{setting}`, or all with `header`"
    )


def _hint_at_a_layout(names: Sequence[str], layout: str) -> str | None:
    """Return a hint at another published table, where the names are those of its columns."""
    if of_row := layout_of_row(list(names)):
        return (
            f"its first line is a row and no line of names: write `layout: {of_row}`, or name the "
            "columns with `header`"
        )
    layouts = [each for each in layouts_with(list(names)) if each != layout]
    if layouts:
        return f"these are the columns of a published table: write `layout: {layouts[0]}`"
    return None


def _spelled_nearly(name: str, names: Sequence[str]) -> str | None:
    """Return the one of the names that was probably meant; small and capital letters are alike."""
    by_folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=1)
    return by_folded[close[0]] if close else None


def _is_caption(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if is_list(kind) else kind)


def _is_comparable(kind: pa.DataType) -> bool:
    """Tell whether a condition can compare a column; categories count as what they name."""
    if pa.types.is_dictionary(kind):
        return _is_comparable(kind.value_type)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    is_decimal = pa.types.is_decimal(kind) and not pa.types.is_decimal256(kind)
    is_time = pa.types.is_temporal(kind) and not pa.types.is_interval(kind)
    return is_text(kind) or is_number or is_decimal or is_time


def _is_anything(_: pa.DataType) -> bool:
    return True
