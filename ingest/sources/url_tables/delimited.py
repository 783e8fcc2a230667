"""Rows of CSV, TSV and TXT files. A TXT is a TSV, or a list of URLs if its first line is one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables import content
from openalign.ingest.sources.url_tables.found import format_of
from openalign.ingest.sources.url_tables.records import CutBlock, Quoting, cut_records
from openalign.ingest.sources.url_tables.rows import Rows

_FIRST_LINE = re.compile(rb"[^\r\n]*+(?:\r\n?|\n)")
_FIRST_RECORD = re.compile(rb'[^"\r\n]*+(?:"[^"]*+"[^"\r\n]*+)*(?:\r\n?|\n)')
_QUOTED_CELL = re.compile(rb'(?<![^,\t\r\n])"[^"]*+(?:""[^"]*+)*"(?![^,\t\r\n])')


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    quoting: Quoting


@dataclass(frozen=True, slots=True)
class _DelimitedRecords:
    text: bytes
    """Whole records, in UTF-8."""

    num_bad: int


def schema(url: str, source: TableSource) -> pa.Schema | None:
    """Return a file's columns, all of them text; None for a file that holds nothing."""
    dialect = _dialect(url, source)
    for records in _records(url, dialect, content.HEAD_BYTES):
        if records.text.strip():
            names = _names(url, source, dialect, records.text)
            return pa.schema([(name, pa.string()) for name in names])
    return None


def rows(url: str, source: TableSource, columns: Sequence[str]) -> Iterator[Rows]:
    """Yield columns of a file, block by block. A row with too few or too many cells is bad."""
    dialect = _dialect(url, source)
    names: Sequence[str] = ()
    for records in _records(url, dialect, content.BLOCK_BYTES):
        text = records.text
        if not text.strip():
            yield Rows(_no_rows(columns), records.num_bad)
            continue
        if not names:
            names = _names(url, source, dialect, text)
            if not _given_names(url, source, dialect, text):
                text = text[len(_first_record(text, dialect)) :]
        batch, num_bad = _parse(text, dialect, names=names, columns=columns)
        yield Rows(batch, records.num_bad + num_bad)


def _dialect(url: str, source: TableSource) -> _Dialect:
    is_csv = format_of(url) == "csv"
    quoting = source.quoting
    if quoting == "by_format":
        quoting = "doubled" if is_csv else "none"
    return _Dialect("," if is_csv else "\t", quoting)


def _records(url: str, dialect: _Dialect, num_bytes: int) -> Iterator[_DelimitedRecords]:
    """Yield a file's records, block by block, in UTF-8."""
    rest, line, line_end = b"", 1, b""
    for block in content.text_blocks(url, num_bytes):
        text = rest + block
        line_end = line_end or _line_end(text, dialect)
        cut = _cut(text, dialect, line_end or b"\n", is_last=False)
        rest = cut.rest
        line += text.count(line_end or b"\n", 0, len(text) - len(rest))
        if len(rest) > 2 * content.BLOCK_BYTES:
            raise content.longer_than_allowed(url, line)
        yield _DelimitedRecords(content.as_utf8(cut.records), cut.num_bad)
    cut = _cut(rest, dialect, line_end or b"\n", is_last=True)
    yield _DelimitedRecords(content.as_utf8(cut.records), cut.num_bad)


def _line_end(text: bytes, dialect: _Dialect) -> bytes:
    r"""Return `\r` where it alone ends the lines of a text, else `\n`; nothing where none ends.

    Cells may hold either. A `\r` that ends the text may belong to a `\r\n`.
    """
    first = _first_record(text, dialect)
    if first.endswith(b"\n"):
        return b"\n"
    if len(first) == len(text):
        return b""
    outside = text if dialect.quoting == "none" else _QUOTED_CELL.sub(b"", text)
    num_alone = outside.count(b"\r") - outside.count(b"\r\n")
    return b"\r" if num_alone > outside.count(b"\n") else b"\n"


def _cut(block: bytes, dialect: _Dialect, line_end: bytes, *, is_last: bool) -> CutBlock:
    return cut_records(
        block,
        delimiter=dialect.delimiter,
        quoting=dialect.quoting,
        line_end=line_end,
        is_last=is_last,
        max_bytes=content.BLOCK_BYTES,
    )


def _names(url: str, source: TableSource, dialect: _Dialect, text: bytes) -> Sequence[str]:
    given = _given_names(url, source, dialect, text)
    if given:
        return given
    first = _first_record(text, dialect)
    return pa_csv.read_csv(
        pa.py_buffer(first),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(first) + 1),
        parse_options=_parse_options(dialect, lambda _: "skip"),
    ).column_names


def _given_names(url: str, source: TableSource, dialect: _Dialect, text: bytes) -> Sequence[str]:
    """Return the names of the columns of a file that has no line of names; else none."""
    if source.columns.header:
        return source.columns.header
    is_list = format_of(url) == "txt" and b"\t" not in _first_record(text, dialect)
    return (source.columns.url,) if is_list else ()


def _first_record(text: bytes, dialect: _Dialect) -> bytes:
    """Return the first record that is not blank, with the blank lines before it."""
    start = len(text) - len(text.lstrip(b"\r\n"))
    record = _FIRST_LINE if dialect.quoting == "none" else _FIRST_RECORD
    found = record.match(text, start)
    return text[: found.end()] if found else text


def _parse(
    text: bytes, dialect: _Dialect, *, names: Sequence[str], columns: Sequence[str]
) -> tuple[pa.RecordBatch, int]:
    num_bad = 0

    def skip(row: Any) -> str:
        nonlocal num_bad
        del row
        num_bad += 1
        return "skip"

    if not text.strip():
        return _no_rows(columns), 0
    table = pa_csv.read_csv(
        pa.py_buffer(text),
        # One block and no thread: the handler of bad rows then runs here.
        read_options=pa_csv.ReadOptions(
            use_threads=False, block_size=len(text) + 1, column_names=list(names)
        ),
        parse_options=_parse_options(dialect, skip),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            check_utf8=False,
        ),
    )
    return table.combine_chunks().to_batches()[0] if table.num_rows else _no_rows(columns), num_bad


def _parse_options(dialect: _Dialect, skip: Any) -> pa_csv.ParseOptions:
    has_quotes = dialect.quoting != "none"  # `cut_records` doubles marks behind a backslash
    return pa_csv.ParseOptions(
        delimiter=dialect.delimiter,
        quote_char='"' if has_quotes else False,
        newlines_in_values=has_quotes,
        invalid_row_handler=skip,
    )


def _no_rows(columns: Sequence[str]) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array([], pa.string()) for name in columns})
