import csv
import io
import random

import pytest

from openalign.ingest.sources.url_tables import records
from openalign.ingest.sources.url_tables.records import CutBlock, Quoting, cut_records


def cut(
    text: str,
    *,
    quoting: Quoting = "doubled",
    line_end: bytes = b"\n",
    is_last: bool = True,
    max_bytes: int = 1000,
) -> tuple[str, int, str]:
    found = cut_records(
        text.encode(),
        delimiter=",",
        quoting=quoting,
        line_end=line_end,
        is_last=is_last,
        max_bytes=max_bytes,
    )
    return found.records.decode(), found.num_bad, found.rest.decode()


@pytest.mark.parametrize(
    ("text", "whole", "rest"),
    [
        pytest.param("a,b\nc,d\n", "a,b\nc,d\n", "", id="no mark"),
        pytest.param("a,b\nc,d", "a,b\n", "c,d", id="a line goes on"),
        pytest.param('a,"b"\nc,"d', 'a,"b"\n', 'c,"d', id="a cell goes on"),
        pytest.param('a,"b\nc\nd', "", 'a,"b\nc\nd', id="the first record goes on"),
        pytest.param('"a\n","b\n"\nc,"d\n', '"a\n","b\n"\n', 'c,"d\n', id="two open cells a row"),
        pytest.param('a,"b""\n"\nc', 'a,"b""\n"\n', "c", id="a doubled mark"),
        pytest.param('a,6" b\nc,"d"\ne', 'a,6" b\nc,"d"\n', "e", id="a mark within a cell"),
        pytest.param('a,"b" c\nd', 'a,"b" c\n', "d", id="text behind a cell of one line"),
        pytest.param('a,"b"', "", 'a,"b"', id="a closing mark that may be doubled"),
        pytest.param('a,"b"\r\nc,"d"\r\n', 'a,"b"\r\nc,"d"\r\n', "", id="carriage returns"),
        pytest.param('"",""\n"', '"",""\n', '"', id="empty cells"),
    ],
)
def test_a_block_is_cut_behind_its_last_whole_record(text: str, whole: str, rest: str) -> None:
    assert cut(text, is_last=False) == (whole, 0, rest)


@pytest.mark.parametrize(
    ("text", "whole", "num_bad"),
    [
        pytest.param('a,b\nc,"d\ne,f\n', "a,b\ne,f\n", 1, id="never closed"),
        pytest.param('a,b\nc,"d', "a,b\n", 1, id="never closed in the last line"),
        pytest.param('c,"d\ne,"f g"\n', 'e,"f g"\n', 1, id="closed by the next cell's mark"),
        pytest.param('c,"d\ne,"f\ng,h\n', "g,h\n", 2, id="two in turn"),
        pytest.param('"x\ny","d\ne,f\n', "e,f\n", 1, id="behind a cell of two lines"),
        pytest.param('a,"b\nc"\nd,"e\nf,g\n', 'a,"b\nc"\nf,g\n', 1, id="behind a tidy record"),
    ],
)
def test_a_cell_that_nobody_closed_costs_its_own_line(text: str, whole: str, num_bad: int) -> None:
    assert cut(text) == (whole, num_bad, "")


def test_a_cell_that_goes_on_too_long_was_never_closed() -> None:
    text = 'a,"b\n' + "c,d\n" * 10

    assert cut(text, is_last=False, max_bytes=len(text) - 2) == ("", 0, text)
    assert cut(text, is_last=False, max_bytes=len(text) - 3) == ("c,d\n" * 10, 1, "")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        pytest.param(r'"a \"b\" c"', '"a ""b"" c"', id="marks"),
        pytest.param(r'"a\\"', r'"a\"', id="a backslash before the end"),
        pytest.param(r'"a\\\"b"', '"a\\""b"', id="both"),
        pytest.param(r'"a\n, b"', r'"a\n, b"', id="another letter stays"),
        pytest.param(r'"a\"""b"', '"a""""b"', id="a doubled mark beside one behind a backslash"),
        pytest.param(r"C:\new", r"C:\new", id="no quoted cell"),
        pytest.param('"a\nb\\"\n"', '"a\nb""\n"', id="lines"),
    ],
)
def test_a_mark_behind_a_backslash_is_doubled(cell: str, expected: str) -> None:
    assert cut(f"x,{cell}\ny,z\n", quoting="backslash") == (f"x,{expected}\ny,z\n", 0, "")


def test_a_broken_record_leaves_nothing_of_its_cells_behind() -> None:
    text = '"a \\"b\\"","c\nd,e\n"f","g"\n'

    assert cut(text, quoting="backslash") == ('d,e\n"f","g"\n', 1, "")


def test_without_quoting_a_mark_is_a_mark() -> None:
    assert cut('a,"b\nc"', quoting="none", is_last=False) == ('a,"b\n', 0, 'c"')


def walked(block: bytes, *, is_last: bool) -> CutBlock:
    return records._walk(block, ",", "doubled", b"\n", is_last=is_last, max_bytes=10**6)


def test_the_check_as_an_array_agrees_with_the_walk() -> None:
    rng = random.Random(0)
    num_tidy = 0
    for _ in range(3000):
        block = "".join(rng.choices('ab,"\n', weights=(2, 2, 3, 4, 3), k=14)).encode()
        for is_last in (True, False):
            end = records._end_of_tidy_records(block, ",", b"\n", is_last=is_last)
            if end is None:
                continue
            num_tidy += 1
            assert walked(block[:end], is_last=True) == CutBlock(block[:end], 0, b"")
            assert not is_last or end == len(block)
    assert num_tidy > 100


def test_what_a_writer_writes_is_cut_into_its_rows_wherever_a_block_ends() -> None:
    rng = random.Random(1)
    rows = [["".join(rng.choices('ab ,"\n', k=6)) for _ in range(2)] for _ in range(60)]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    text = written.getvalue()

    for end in range(len(text) + 1):
        whole, num_bad, rest = cut(text[:end], is_last=False)

        assert (whole + rest, num_bad) == (text[:end], 0)
        read = list(csv.reader(io.StringIO(whole, newline="")))
        assert read == rows[: len(read)]


@pytest.mark.parametrize("quoting", ["doubled", "backslash", "none"])
def test_broken_text_is_read_alike_wherever_blocks_end(quoting: Quoting) -> None:
    rng = random.Random(2)

    def read_in_blocks(text: str, num_chars: int) -> tuple[str, int]:
        whole, num_bad, rest = "", 0, ""
        for start in range(0, len(text), num_chars):
            block = rest + text[start : start + num_chars]
            more, bad, rest = cut(block, quoting=quoting, is_last=False)
            whole, num_bad = whole + more, num_bad + bad
        more, bad, _ = cut(rest, quoting=quoting)
        return whole + more, num_bad + bad

    for _ in range(4000):
        text = "".join(rng.choices('ab,"\n\\\r', weights=(3, 2, 3, 4, 3, 1, 1), k=24))
        at_once = read_in_blocks(text, len(text))
        assert [read_in_blocks(text, n) for n in (1, 3, 7)] == [at_once] * 3, text


@pytest.mark.parametrize("quoting", ["doubled", "backslash", "none"])
def test_lines_that_end_with_a_carriage_return_are_cut_as_others_are(quoting: Quoting) -> None:
    rng = random.Random(3)
    swapped = str.maketrans("\n\r", "\r\n")

    for _ in range(3000):
        text = "".join(rng.choices('ab,"\n\\\r', weights=(3, 2, 3, 4, 3, 1, 1), k=24))
        for is_last in (True, False):
            whole, num_bad, rest = cut(text, quoting=quoting, is_last=is_last)
            expected = (whole.translate(swapped), num_bad, rest.translate(swapped))
            mac = text.translate(swapped)
            assert cut(mac, quoting=quoting, line_end=b"\r", is_last=is_last) == expected, text
