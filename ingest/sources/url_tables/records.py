"""Where the records of a CSV end: whole ones go on, broken ones are counted, the rest waits.

A cell that begins with a quotation mark goes on to the next one that is alone, over delimiters and
ends of lines. A mark that nobody closed therefore swallows what follows. It shows: the file ends
within the cell, or the mark that seems to close it is followed by more text. Then the line where
the cell began is left out and counted, and reading goes on with the next one. A cell that ends at a
mark behind a backslash, with more text at once, is counted likewise.

A block whose marks all stand where they should is checked as an array. Any other block is walked
from quoted cell to quoted cell.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

Quoting = Literal["doubled", "backslash", "none"]

_QUOTE, _NEWLINE = ord('"'), ord("\n")
_DOUBLED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_BACKSLASH = re.compile(rb'"[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+"', re.DOTALL)
_MARK_INSIDE = re.compile(rb'\\(["\\])|""')


@dataclass(frozen=True, slots=True)
class CutBlock:
    """A block, cut behind its last whole record."""

    records: bytes
    """Whole records, with marks inside cells doubled."""

    num_bad: int
    """Lines that were left out."""

    rest: bytes
    """The beginning of a record that goes on in the next block."""


def cut_records(
    block: bytes,
    *,
    delimiter: str,
    quoting: Quoting,
    line_end: bytes,
    is_last: bool,
    max_bytes: int,
) -> CutBlock:
    r"""Cut a block that begins with a record.

    Args:
        block: text in UTF-8 or another encoding that keeps ASCII.
        delimiter: a comma or a tab.
        quoting: what quotation marks mean.
        line_end: the byte that ends every line, `\n` (also of `\r\n`) or `\r`.
        is_last: whether the file ends with the block.
        max_bytes: a quoted cell that is longer counts as one that was never closed.
    """
    if quoting == "none" or b'"' not in block:
        end = len(block) if is_last else block.rfind(line_end) + 1
        return CutBlock(block[:end], 0, block[end:])
    if quoting == "doubled":
        end = _end_of_tidy_records(block, delimiter, line_end, is_last=is_last)
        if end is not None:
            return CutBlock(block[:end], 0, block[end:])
    return _walk(block, delimiter, quoting, line_end, is_last=is_last, max_bytes=max_bytes)


def _end_of_tidy_records(
    block: bytes, delimiter: str, line_end: bytes, *, is_last: bool
) -> int | None:
    """Return where the last whole record ends; None where a mark stands in an odd place.

    The marks of a tidy block open and close cells in turn. One that opens stands at the beginning
    of a cell, or follows at once on one that closed: the two are one doubled mark.
    """
    codes = np.frombuffer(block, np.uint8)
    marks = np.flatnonzero(codes == _QUOTE)
    if is_last and len(marks) % 2:
        return None
    end = len(block) if is_last else _end_outside_quotes(block, marks, line_end)
    if end == 0:  # the first record goes on, or a mark of it was never closed
        return None
    marks = marks[: np.searchsorted(marks, end)]
    is_border = np.zeros(256, bool)
    is_border[[*b"\r\n", ord(delimiter)]] = True
    padded = np.concatenate([[_NEWLINE], codes[:end], [_NEWLINE]])
    opening, closing = marks[0::2], marks[1::2]
    opens = is_border[padded[opening]]  # the character before: `padded` is shifted by one
    opens[1:] |= opening[1:] == closing[:-1] + 1
    closes = is_border[padded[closing + 2]]
    closes[:-1] |= opening[1:] == closing[:-1] + 1
    return end if opens.all() and closes.all() else None


def _end_outside_quotes(block: bytes, marks: np.ndarray, line_end: bytes) -> int:
    """Return the position behind the last end of a line that an even number of marks precedes."""
    end = block.rfind(line_end)
    while end >= 0 and (before := int(np.searchsorted(marks, end))) % 2:
        end = block.rfind(line_end, 0, int(marks[before - 1]))
    return end + 1


def _walk(
    block: bytes,
    delimiter: str,
    quoting: Quoting,
    line_end: bytes,
    *,
    is_last: bool,
    max_bytes: int,
) -> CutBlock:
    opening = re.compile(rb'(?:\A|[\r\n%s])"' % re.escape(delimiter.encode()))
    quoted = _DOUBLED if quoting == "doubled" else _BACKSLASH
    after_cell = (b"", b"\r", b"\n", delimiter.encode())
    kept: list[bytes] = []  # whole records
    current: list[bytes] = []  # cells of the record that is walked, from `record` to `done`
    record = done = at = num_bad = 0
    while found := opening.search(block, at):
        start = found.end() - 1
        if (newline := block.rfind(line_end, at, start)) >= 0:
            kept += [*current, block[done : newline + 1]]
            current, record, done = [], newline + 1, newline + 1
        cell = quoted.match(block, start)
        end = cell.end() if cell is not None else len(block)
        if not is_last and end == len(block) and end - start <= max_bytes:
            return CutBlock(b"".join(kept), num_bad, block[record:])
        if cell is None or (
            block[end : end + 1] not in after_cell and _is_doubtful(cell[0], line_end)
        ):
            at = block.find(line_end, start)
            if at < 0:
                if not is_last:
                    return CutBlock(b"".join(kept), num_bad, block[record:])
                return CutBlock(b"".join(kept), num_bad + 1, b"")
            num_bad += 1
            current, record, done = [], at + 1, at + 1
            continue
        if quoting == "backslash":
            current += [block[done:start], _with_doubled_marks(cell[0])]
            done = end
        at = end
    end = len(block) if is_last else block.rfind(line_end, at) + 1
    if end > record:
        kept += [*current, block[done:end]]
    return CutBlock(b"".join(kept), num_bad, block[max(end, record) :])


def _is_doubtful(cell: bytes, line_end: bytes) -> bool:
    """Tell whether a cell that more text follows at once ended elsewhere than its writer meant.

    On one line that is harmless, unless a backslash stands before the mark: then the file should
    have been read with the other quoting.
    """
    return line_end in cell or cell.endswith(b'\\"')


def _with_doubled_marks(cell: bytes) -> bytes:
    inside = _MARK_INSIDE.sub(lambda mark: b"\\" if mark[1] == b"\\" else b'""', cell[1:-1])
    return b'"' + inside + b'"'
