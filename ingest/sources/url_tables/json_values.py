"""Rows of JSON lines, and of JSON documents that hold a table.

A document is a list of objects, an object of columns (lists, or objects by row number as pandas
writes them), or an object that holds a list of objects beside other facts. A file that ends in
`.json` may also hold JSON lines: that is how Spark names them.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, count
from typing import Any, cast

import msgspec
import pyarrow as pa

from openalign.engines.batches import BATCH_ROWS
from openalign.errors import InputError
from openalign.ingest.sources.lenient_json import decode
from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables import content
from openalign.ingest.sources.url_tables.json_columns import rows_of, schema_of
from openalign.ingest.sources.url_tables.rows import DamagedTableError, Rows

_Object = dict[str, Any]
_OBJECT = msgspec.json.Decoder(_Object)
_ANYTHING = msgspec.json.Decoder()


def lines_schema(url: str, source: TableSource) -> pa.Schema | None:
    """Return the members of the first objects; None for a file that holds nothing."""
    del source
    for number, (objects, num_bad) in enumerate(_objects_by_line(url, content.HEAD_BYTES)):
        if objects:
            return schema_of(objects)
        if num_bad and number == 0:
            raise InputError(
                f"{url} cannot be read as jsonl: its first lines are no JSON objects",
                hint="a line holds one object, such as "
                '{"url": "https://...", "caption": "..."}; a whole document ends in .json',
            )
    return None


def lines_rows(url: str, source: TableSource, columns: Sequence[str]) -> Iterator[Rows]:
    """Yield members of a file's objects. A line that is no object is a bad row."""
    for objects, num_bad in _objects_by_line(url, content.BLOCK_BYTES):
        yield rows_of(objects, columns, source, num_bad=num_bad)


def document_schema(url: str, source: TableSource) -> pa.Schema | None:
    """Return a document's columns; None for a file that holds nothing."""
    if _has_lines(url):
        return lines_schema(url, source)
    objects = _objects_of_document(url, source)
    return schema_of(objects) if objects else None


def document_rows(url: str, source: TableSource, columns: Sequence[str]) -> Iterator[Rows]:
    """Yield columns of a document, which is read as a whole."""
    if _has_lines(url):
        yield from lines_rows(url, source, columns)
        return
    objects = _objects_of_document(url, source)
    for start in range(0, len(objects), BATCH_ROWS):
        yield rows_of(objects[start : start + BATCH_ROWS], columns, source)


# Lines --------------------------------------------------------------------------------------------


def _objects_by_line(url: str, num_bytes: int) -> Iterator[tuple[list[_Object], int]]:
    """Yield the objects of each block and the number of its lines that are none."""
    rest, line = b"", 1
    for block in chain(content.text_blocks(url, num_bytes), (b"\n",)):
        text = rest + block
        line_end = _line_end(text)
        end = text.rfind(line_end) + 1
        rest = text[end:]
        line += text.count(line_end, 0, end)
        if len(rest) > content.BLOCK_BYTES:
            raise content.longer_than_allowed(url, line)
        objects: list[_Object] = []
        num_bad = 0
        for one in content.as_utf8(text[:end]).split(line_end):
            if not one or one.isspace():
                continue
            try:
                objects.append(decode(one, _OBJECT))
            except msgspec.DecodeError:
                num_bad += 1
        yield objects, num_bad


def _line_end(text: bytes) -> bytes:
    r"""Return what ends the lines of a text: `\r` where it holds no `\n`. No value holds either."""
    return b"\n" if b"\n" in text else b"\r"


def _has_lines(url: str) -> bool:
    """Tell whether the first line of a file is an object, and more follows."""
    head = b""
    for block in content.text_blocks(url, content.HEAD_BYTES):
        head = (head + block).lstrip()
        first, newline, more = head.partition(_line_end(head))
        if not newline and len(head) <= content.BLOCK_BYTES:
            continue
        try:
            decode(content.as_utf8(first), _OBJECT)
        except msgspec.DecodeError:
            return False
        if more.strip():
            return True
    return False


# Documents ----------------------------------------------------------------------------------------


def _objects_of_document(url: str, source: TableSource) -> list[_Object]:
    text = content.as_utf8(b"".join(content.text_blocks(url, content.BLOCK_BYTES)))
    if not text.strip():
        return []
    try:
        document: object = decode(text, _ANYTHING)
    except msgspec.DecodeError as error:
        raise DamagedTableError(
            f"{url} cannot be read as json: {error}",
            hint="see that the document is whole; a file of JSON lines ends in .jsonl",
        ) from error
    objects = _table_in(document, url, source)
    if objects is None:
        raise InputError(
            f"{url} holds no table",
            hint="a list of objects is read, an object of columns, or an object with one list of "
            "objects in it",
        )
    return objects


def _table_in(document: object, url: str, source: TableSource) -> list[_Object] | None:
    if isinstance(document, list):
        return _objects(document)
    if not isinstance(document, dict):
        return None
    members = cast("_Object", document)
    if source.columns.url in members:
        return _objects_of_columns(members, url, source)
    tables = [_objects(value) for value in members.values() if isinstance(value, list) and value]
    found = [table for table in tables if table is not None]
    return found[0] if len(found) == 1 else None


def _objects(values: list[Any]) -> list[_Object] | None:
    return values if all(isinstance(value, dict) for value in values) else None


def _objects_of_columns(members: _Object, url: str, source: TableSource) -> list[_Object] | None:
    """Return the rows of an object of columns; an object of single values is one row.

    The values of a list belong to the rows 0, 1, ..., those of an object to the rows of its keys.

    Raises:
        InputError: lists that are used have different lengths.
    """
    if isinstance(members[source.columns.url], str):
        return [members]
    used = [name for name in source.used_columns if isinstance(members.get(name), (dict, list))]
    if source.columns.url not in used:
        return None
    lengths = {name: len(members[name]) for name in used if isinstance(members[name], list)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"`{name}` has {length:,}" for name, length in lengths.items())
        raise InputError(
            f"{url} has lists of different lengths: {told}",
            hint="a list of values has one for each row, null where it is not known",
        )
    columns = {
        name: value
        if isinstance(value, dict)
        else dict(zip(map(str, count()), value, strict=False))
        for name, value in members.items()
        if isinstance(value, (dict, list))
    }
    rows = dict.fromkeys(chain.from_iterable(columns[name] for name in used))
    whole = {
        name: column
        for name, column in columns.items()
        if name in used or column.keys() == rows.keys()  # others are facts beside the table
    }
    return [{name: column.get(row) for name, column in whole.items()} for row in rows]
