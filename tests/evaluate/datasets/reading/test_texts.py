import gzip
import re
from pathlib import Path

import msgspec
import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.text import (
    read_columns,
    read_csv,
    read_json,
    read_lines,
    read_text,
)

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param(b"a\nb\n", ["a", "b"], id="a last line end adds no line"),
        pytest.param(b"a\nb", ["a", "b"], id="no last line end"),
        pytest.param(b"a\r\nb\r\n", ["a", "b"], id="CRLF"),
        pytest.param(BOM + b"a\r\nb", ["a", "b"], id="a byte-order mark"),
        pytest.param(b"a\n\nb\n\n", ["a", "", "b", ""], id="blank lines are lines"),
        pytest.param("a\u2028b\x0bc\x85d".encode(), ["a\u2028b\x0bc\x85d"], id="nothing else ends"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_only_lf_and_crlf_end_a_line(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    (tmp_path / "a.txt").write_bytes(content)

    assert read_lines(str(tmp_path / "a.txt")) == lines


def test_a_gz_file_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("grün\n".encode()))

    assert read_lines(str(tmp_path / "a.txt.gz")) == ["grün"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"plain", id="not packed"),
        pytest.param(gzip.compress(b"a" * 99)[:-12], id="cut off"),
        pytest.param(gzip.compress(b"a" * 99)[:12] + b"\xff" * 12, id="broken"),
    ],
)
def test_a_broken_gz_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt.gz").write_bytes(content)

    with pytest.raises(InputError, match=r"a\.txt\.gz: cannot be unpacked"):
        read_text(str(tmp_path / "a.txt.gz"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "a\nb\ncafé\n".encode("latin-1"), "a.txt:3: is not UTF-8: byte 0xe9", id="latin-1"
        ),
        pytest.param("ab".encode("utf-16"), "a.txt: is not UTF-8: it begins with", id="utf-16"),
    ],
)
def test_another_encoding_is_refused_with_its_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)

    with pytest.raises(InputError, match=re.escape(message)):
        read_lines(str(path))


DECODER = msgspec.json.Decoder(dict[str, list[int]])


def test_json_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a": [1],\n "caf\xe9": [2]}')

    with pytest.raises(InputError, match=r"a\.json:2: is not UTF-8: byte 0xe9"):
        read_json(str(tmp_path / "a.json"), DECODER, form="")


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    with pytest.raises(InputError, match=r"a\.json is a Git LFS pointer, not the file itself"):
        read_text(str(tmp_path / "a.json"))


def test_json_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(BOM + b'{"a": [1]}')

    assert read_json(str(tmp_path / "a.json"), DECODER, form="") == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            '{"images": [{"id": 1}, {"id": "x"}]}', "image 1: Expected `int`", id="in a list"
        ),
        pytest.param('{"images": 3}', "a.json: Expected `array`", id="no list"),
        pytest.param("{", "a.json: is not JSON", id="cut off"),
    ],
)
def test_a_wrong_type_is_refused_with_its_entry(tmp_path: Path, content: str, message: str) -> None:
    class Image(msgspec.Struct):
        id: int

    class Images(msgspec.Struct):
        images: list[Image]

    (tmp_path / "a.json").write_text(content)

    with pytest.raises(InputError, match=message) as caught:
        read_json(str(tmp_path / "a.json"), msgspec.json.Decoder(Images), form="the form")
    assert caught.value.hint == "the form"


def test_an_entry_of_a_bare_list_is_called_entry(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, true]")

    with pytest.raises(InputError, match=r"a\.json: entry 1: Expected `int`"):
        read_json(str(tmp_path / "a.json"), msgspec.json.Decoder(list[int]), form="")


def columns(path: Path, content: str) -> list[tuple[int, list[str]]]:
    path.write_text(content)
    return list(read_columns(str(path), ["b", "a"], separator="\t", form="the form"))


def test_columns_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    found = columns(tmp_path / "a.tsv", "a\tmore\tb\n1\t2\t3\n\n4\t5\t 6 \n \n")

    assert found == [(2, ["3", "1"]), (4, ["6", "4"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("a\tc\n1\t2\n", "a.tsv:1: has no column b", id="a column is missing"),
        pytest.param("", "a.tsv:1: has no column b, a", id="empty"),
        pytest.param("a\tb\n1\n", "a.tsv:2: has 1 cells, the first line has 2", id="too few"),
        pytest.param(
            "a\tb\n1\t2\n1\t2\t3\n", "a.tsv:3: has 3 cells, the first line has 2", id="too many"
        ),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        columns(tmp_path / "a.tsv", content)
    assert caught.value.hint == "the form"


def csv_rows(path: Path, content: str) -> list[tuple[int, list[str]]]:
    path.write_bytes(content.encode())
    return list(read_csv(str(path), ["b", "a"], separator=",", form="the form"))


def test_quoted_cells_hold_the_separator_quotes_and_line_ends(tmp_path: Path) -> None:
    found = csv_rows(tmp_path / "a.csv", 'a,"b"\r\n"1,""2""\r\n3",  4 \r\n\r\n , \r\n5,6')

    assert found == [(3, ["4", '1,"2"\r\n3']), (6, ["6", "5"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "a.csv:1: has no column `b`; it is empty", id="empty"),
        pytest.param("a,c\n", "a.csv:1: has no column `b`; its columns are a, c", id="missing"),
        pytest.param("a,b,a\n", "a.csv:1: has column `a` more than once", id="twice"),
        pytest.param('a,b\n"1\n2",3\n4\n', "a.csv:4: has 1 cells, the first row has 2", id="short"),
        pytest.param('a,b\n"1"2,3\n', "a.csv:2: is not CSV", id="text after a quote"),
    ],
)
def test_a_broken_csv_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        csv_rows(tmp_path / "a.csv", content)
    assert caught.value.hint == "the form"
