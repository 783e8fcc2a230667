"""Text files as published: UTF-8, with or without a byte-order mark, lines with LF or CRLF.

Another encoding is an error that names the line. Nothing is guessed.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.lfs import refuse_pointer

T = TypeVar("T")

_PLACE = re.compile(r"`\$(?:\.(?P<key>\w+))?\[(?P<number>\d+)\]")


def read_text(url: str) -> str:
    """Return a text file; one called `.gz` is unpacked.

    Raises:
        InputError: it is not there, or its encoding is not UTF-8.
    """
    return decode_text(url, _content(url))


def decode_text(where: str, content: bytes) -> str:
    """Return the text of a file that was read already; `where` names it.

    Raises:
        InputError: its encoding is not UTF-8; names the line.
    """
    refuse_utf16(where, content)
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}:{line}: is not UTF-8: byte {content[error.start]:#04x}",
            hint="convert the file, for example with iconv -f latin1 -t utf-8",
        ) from error


def refuse_utf16(where: str, content: bytes) -> None:
    """Refuse a text that begins with the byte-order mark of UTF-16, as Excel and Windows write it.

    Raises:
        InputError: it does; the hint tells how to convert it.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            f"{where}: is not UTF-8: it begins with the mark of UTF-16",
            hint="convert the file, for example with iconv -f utf-16 -t utf-8",
        )


def read_lines(url: str) -> list[str]:
    """Return the lines of a text file without their ends; a last line end adds no line.

    Only LF and CRLF end a line: captions hold other separators.

    Raises:
        InputError: it is not there, or its encoding is not UTF-8.
    """
    lines = read_text(url).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_json(url: str, decoder: msgspec.json.Decoder[T], *, form: str) -> T:
    """Return a JSON file as the decoder's type; `form` tells people what the form is.

    Raises:
        InputError: it is not there, is not JSON, or of another form; names the entry and the key.
    """
    content = _content(url)
    try:
        return decoder.decode(content.removeprefix(codecs.BOM_UTF8))
    except msgspec.ValidationError as error:
        raise InputError(f"{url}: {_entry(str(error))}{error}", hint=form) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        decode_text(url, content)
        raise InputError(f"{url}: is not JSON: {error}", hint=form) from error


def read_columns(
    url: str, names: Sequence[str], *, separator: str, form: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line of a table and its cells in the order of `names`.

    The first line has the columns' names, and there may be more columns than these. A cell is what
    stands between separators: nothing is quoted. Blank lines are passed over.

    Raises:
        InputError: a column is missing, or a line has more or fewer cells than the first.
    """
    lines = read_lines(url)
    header = [name.strip() for name in lines[0].split(separator)] if lines else []
    missing = [name for name in names if name not in header]
    if missing:
        raise InputError(f"{url}:1: has no column {', '.join(missing)}", hint=form)
    columns = [header.index(name) for name in names]
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split(separator)
        if len(cells) != len(header):
            raise InputError(
                f"{url}:{number}: has {len(cells)} cells, the first line has {len(header)}",
                hint=form,
            )
        yield number, [cells[column].strip() for column in columns]


def read_csv(
    url: str, names: Sequence[str], *, separator: str, form: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the last line of each row of a CSV table and its cells in the order of `names`.

    As `read_columns`, but a cell may stand in double quotes, and then hold the separator, line ends
    and quotes (each written twice).

    Raises:
        InputError: a column is missing or there twice, a row has more or fewer cells than the
            first, or quotes do not close.
    """
    rows = csv.reader(io.StringIO(read_text(url), newline=""), delimiter=separator, strict=True)
    try:
        header = _stripped(next(rows, []))
        for name in names:
            if header.count(name) > 1:
                raise InputError(f"{url}:1: has column `{name}` more than once", hint=form)
            if name not in header:
                there = f"its columns are {', '.join(header)}" if header else "it is empty"
                raise InputError(f"{url}:1: has no column `{name}`; {there}", hint=form)
        columns = [header.index(name) for name in names]
        for cells in rows:
            if not any(_stripped(cells)):
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{url}:{rows.line_num}: has {len(cells)} cells, the first row has "
                    f"{len(header)}",
                    hint=form,
                )
            yield rows.line_num, _stripped(cells[column] for column in columns)
    except csv.Error as error:
        raise InputError(f"{url}:{rows.line_num}: is not CSV: {error}", hint=form) from error


def csv_header(text: str, *, separator: str) -> list[str]:
    """Return the names of the columns of a CSV table, from its text or the beginning of it."""
    return _stripped(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))


def _stripped(cells: Iterable[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _content(url: str) -> bytes:
    content = storage.read_bytes(url)
    refuse_pointer(url, content)
    if url.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{url}: cannot be unpacked: {error}") from error
    return content


def _entry(message: str) -> str:
    """Return the entry of a list that a decoder's message is about, as people say it."""
    found = _PLACE.search(message)
    if found is None:
        return ""
    name = (found["key"] or "entries").removesuffix("s")
    return f"{'entry' if name == 'entrie' else name} {found['number']}: "
