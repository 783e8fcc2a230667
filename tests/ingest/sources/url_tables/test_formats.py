"""The rows of each format, as its writers write them and as they break."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest
from table_contents import COLUMNS, ROWS, arrow_file, arrow_stream, lines_of, objects, parquet
from tables_read import CAT, DOG, message, pairs, read

from openalign.errors import InputError
from openalign.ingest.sources.table import TableSource, check
from openalign.ingest.sources.url_tables import content
from openalign.ingest.sources.url_tables.formats import FORMATS
from openalign.ingest.sources.url_tables.found import _FORMATS
from openalign.ingest.sources.url_tables.table_reading import read_file

CONTENT: list[tuple[str, bytes]] = [
    ("t.parquet", parquet(COLUMNS)),
    ("t.arrow", arrow_file(COLUMNS)),
    ("stream.arrow", arrow_stream(COLUMNS)),
    ("t.csv", lines_of(COLUMNS, ",")),
    ("t.tsv", lines_of(COLUMNS, "\t")),
    ("t.txt", lines_of(COLUMNS, "\t")),
    ("t.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in objects(COLUMNS))),
    ("t.json", json.dumps(objects(COLUMNS), indent=1).encode()),
    ("columns.json", json.dumps(COLUMNS).encode()),
    ("lines.json", b"\n".join(json.dumps(row).encode() for row in objects(COLUMNS))),
]
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda packed: packed,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda packed: pa.Codec("zstd").compress(packed, asbytes=True),
    ".GZ": lambda packed: gzip.compress(packed[:9]) + gzip.compress(packed[9:]),
}


@pytest.mark.parametrize("ending", PACK, ids=["plain", "gz", "bz2", "zst", "two gz members"])
@pytest.mark.parametrize(("name", "packed"), CONTENT, ids=[name for name, _ in CONTENT])
def test_every_format_is_read_packed_or_not(
    tmp_path: Path, name: str, packed: bytes, ending: str
) -> None:
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(PACK[ending](packed))

    assert pairs(path) == ROWS


def test_every_format_of_an_ending_is_in_the_table() -> None:
    assert set(_FORMATS.values()) == set(FORMATS)


# Delimited ----------------------------------------------------------------------------------------


def test_a_bad_row_that_is_not_utf8_is_one_bad_row(tmp_path: Path) -> None:
    good = "".join(f"http://h.example/{n}.jpg,words number {n}\n" for n in range(5))
    content = f"url,caption\n{good}http://h.example/x.jpg,caf\xe9, deux\n{good}"
    (tmp_path / "t.csv").write_bytes(content.encode("latin-1"))

    rows, counts = read(tmp_path / "t.csv")

    assert counts == {"found": 11, "bad_row": 1}
    assert len(rows) == 10


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig"])
def test_a_text_with_a_byte_order_mark_is_read(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", 61)  # odd, so that blocks end within a character
    text = f"url,caption\r\n{CAT},a c\U0001f431t\r\n{DOG},h\xfcndchen\r\n"
    mark = "\ufeff" if encoding.endswith("-be") else ""
    (tmp_path / "t.csv").write_bytes((mark + text).encode(encoding))

    assert pairs(tmp_path / "t.csv") == [(CAT, "a c\U0001f431t"), (DOG, "h\xfcndchen")]

    line = json.dumps({"url": CAT, "caption": "cat"})
    (tmp_path / "t.jsonl").write_bytes((mark + line).encode(encoding))
    assert read(tmp_path / "t.jsonl")[1] == {"found": 1}


def test_utf16_without_its_mark_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(f"url,caption\n{CAT},cat\n".encode("utf-16-le"))

    assert f"{tmp_path / 't.csv'} is no UTF-8 text: it begins with 75 00" in message(
        tmp_path / "t.csv"
    )


SPARK = r"""url,caption
http://h.example/1.jpg,"He said \"hi, all\" to her"
http://h.example/2.jpg,plain words here
http://h.example/3.jpg,"a \"b\" c"
http://h.example/4.jpg,C:\new
"""


def test_a_mark_behind_a_backslash_is_a_mark_where_the_setting_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(SPARK)

    assert [text for _, text in pairs(tmp_path / "t.csv", quoting="backslash")] == [
        'He said "hi, all" to her',
        "plain words here",
        'a "b" c',
        r"C:\new",
    ]


def test_without_the_setting_such_a_row_is_bad(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(SPARK)

    rows, counts = read(tmp_path / "t.csv")

    assert [row["alt_text"] for row in rows] == ["plain words here", r"C:\new"]
    assert counts == {"found": 4, "bad_row": 2}


def test_a_tsv_has_quotes_where_the_setting_says_so(tmp_path: Path) -> None:
    frame = pl.DataFrame({"url": [CAT, DOG], "caption": ['He said "hi" to her', "two\nlines here"]})
    frame.write_csv(tmp_path / "t.tsv", separator="\t")

    assert pairs(tmp_path / "t.tsv", quoting="doubled") == [
        (CAT, 'He said "hi" to her'),
        (DOG, "two lines here"),
    ]


def test_a_csv_has_none_where_the_setting_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'url,caption\n{CAT},"a\n{DOG},b"\n')

    assert pairs(tmp_path / "t.csv", quoting="none") == [(CAT, '"a'), (DOG, 'b"')]


def test_an_unclosed_quote_costs_its_own_row(tmp_path: Path) -> None:
    urls = [f"http://h.example/{n}.jpg" for n in range(1, 5)]
    texts = ["one two three", '"oops it starts', "third one here", "fourth one here"]
    lines = [f"{url},{text}\n" for url, text in zip(urls, texts, strict=True)]
    (tmp_path / "t.csv").write_text("url,caption\n" + "".join(lines))

    rows, counts = read(tmp_path / "t.csv")

    assert [row["image_url"] for row in rows] == [urls[0], urls[2], urls[3]]
    assert counts == {"found": 4, "bad_row": 1}


@pytest.mark.parametrize("block_bytes", [40, 64, 100, 1000])
def test_blocks_end_anywhere(
    tmp_path: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(content, "HEAD_BYTES", block_bytes)
    texts = ['"a, b"', '"c ""d"""', "é" * 5, '"e\nf"', "g", '"never closed', "h", "i", "j k", "l"]
    lines = [f"{n},{CAT},{text}\n" for n, text in enumerate(texts)]
    (tmp_path / "t.csv").write_text("id,url,caption\n" + "".join(lines))

    rows, counts = read(tmp_path / "t.csv")

    read_texts = [row["alt_text"] for row in rows]
    assert read_texts == ["a, b", 'c "d"', "é" * 5, "e f", "g", "h", "i", "j k", "l"]
    assert counts == {"found": 10, "bad_row": 1}


@pytest.mark.parametrize("num_bytes", [60, 64, 100, 1 << 20])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.jsonl", "t.json"])
def test_lines_may_end_with_a_carriage_return_alone(
    tmp_path: Path, name: str, num_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", num_bytes)
    monkeypatch.setattr(content, "HEAD_BYTES", num_bytes)
    urls = [f"http://h.example/{n}.jpg" for n in range(30)]
    columns = {"url": urls, "caption": [f"words {n}" for n in range(30)]}
    delimiter = "," if name == "t.csv" else "\t"
    lines = lines_of(columns, delimiter).decode().splitlines()
    if "json" in name:
        lines = [json.dumps(row, separators=(",", ":")) for row in objects(columns)]
    (tmp_path / name).write_bytes("\r".join(lines).encode())

    assert pairs(tmp_path / name) == list(zip(urls, columns["caption"], strict=True))


@pytest.mark.parametrize("num_bytes", [40, 41, 42, 43, 100, 1 << 20])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_quoted_cells_hold_any_end_of_a_line(
    tmp_path: Path, line_end: str, num_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", num_bytes)
    monkeypatch.setattr(content, "HEAD_BYTES", num_bytes)
    texts = ['"a\nb"', '"c\rd"', '"e\r\nf"', "g", '"never closed', "h", '"i ""\r\n"" j"', "k"]
    lines = [f"{n},{CAT},{text}" for n, text in enumerate(texts)]
    text = line_end.join(['id,url,"caption"', *lines, ""])
    (tmp_path / "t.csv").write_bytes(text.encode())

    rows, counts = read(tmp_path / "t.csv", carry_columns=("id",))

    kept = ["a b", "c d", "e f", "g", "h", 'i " " j', "k"]
    assert [row["alt_text"] for row in rows] == kept
    assert [json.loads(row["carried"])["id"] for row in rows] == list("0123567")
    assert counts == {"found": 8, "bad_row": 1}


def test_a_carriage_return_within_a_row_leaves_the_ends_of_lines_as_they_are(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{CAT}?{n},words\n" for n in range(5))
    (tmp_path / "t.csv").write_text(f"{CAT},wo\rrds\n{rows}")

    assert read(tmp_path / "t.csv", header=("url", "caption"))[1] == {"found": 7, "bad_row": 1}


def test_columns_that_are_not_used_may_hold_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", 64)
    lines = [f"{n},{CAT},cat {n}" for n in range(50)]
    (tmp_path / "t.csv").write_text("id,url,caption\n" + "\n".join(lines) + f"\nA7,{DOG},dog\n")

    rows = pairs(tmp_path / "t.csv")

    assert len(rows) == 51
    assert rows[-1] == (DOG, "dog")


@pytest.mark.parametrize(
    ("name", "first"), [("t.tsv", "url\tcaption\n"), ("t.jsonl", '{"url":1,"caption":""}\n')]
)
def test_a_row_longer_than_a_block_is_an_error_that_names_its_line(
    tmp_path: Path, name: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", 24)
    (tmp_path / name).write_text(first + "x" * 200)

    with pytest.raises(InputError, match="the row that begins on line 2 is longer than 24 bytes"):
        read(tmp_path / name)


def test_a_header_may_be_longer_than_the_head_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "HEAD_BYTES", 8)
    (tmp_path / "t.csv").write_text('\n\n"a ""long""\nname",url,caption\n' + f"1,{CAT},cat\n")

    assert pairs(tmp_path / "t.csv") == [(CAT, "cat")]
    assert 'it has a "long"\nname, url, caption' in message(tmp_path / "t.csv", url_column="x")


@pytest.mark.parametrize("text", ["url,caption\n", "\n\n"], ids=["header only", "blank"])
def test_a_csv_may_have_no_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)

    assert read(tmp_path / "t.csv") == ([], {})


@pytest.mark.parametrize("name", ["p.csv", "p.tsv.gz", "p.jsonl", "p.json", "p.txt"])
def test_an_empty_part_is_a_part_without_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"url,caption\n{CAT},cat\n")
    (tmp_path / name).write_bytes(b"")

    assert pairs(tmp_path / "*") == [(CAT, "cat")]


def test_a_list_of_urls_has_no_texts(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(f"{CAT}\n")

    assert message(tmp_path / "t.txt") == (
        f"{tmp_path / 't.txt'} has no column `caption`; it has url"
    )


def test_a_txt_without_a_line_of_names_is_told_its_names(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(f"{CAT}\tcat\n")

    assert pairs(tmp_path / "t.txt", header=("url", "caption")) == [(CAT, "cat")]


def test_two_columns_of_a_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"url,caption,url\n{CAT},cat,{DOG}\n")

    assert message(tmp_path / "t.csv") == (
        f"{tmp_path / 't.csv'} has 2 columns `url`; it has url, caption, url"
    )


def test_two_columns_of_a_name_that_nobody_uses_are_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"id,id,url,caption\n1,2,{CAT},cat\n")

    assert pairs(tmp_path / "t.csv") == [(CAT, "cat")]


# Packed -------------------------------------------------------------------------------------------

CUT_GZIP = "Compressed file ended before the end-of-stream marker was reached"


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.bz2", "t.parquet.zst"])
def test_a_packed_file_that_was_cut_is_an_error(tmp_path: Path, name: str) -> None:
    ending = f".{name.rpartition('.')[2]}"
    whole = PACK[ending](dict(CONTENT)[name.removesuffix(ending)])
    (tmp_path / name).write_bytes(whole[:-9])

    said = CUT_GZIP if ending == ".gz" else "Truncated compressed stream"
    assert said in message(tmp_path / name)


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.jsonl.gz"])
def test_of_a_packed_file_the_rows_before_its_damage_are_read(tmp_path: Path, name: str) -> None:
    texts = {"url": [f"{CAT}?{n}" for n in range(20_000)], "caption": ["cat"] * 20_000}
    whole = lines_of(texts, "\t") if "tsv" in name else pl.DataFrame(texts).write_ndjson().encode()
    half = gzip.compress(whole[: len(whole) // 2])
    (tmp_path / name).write_bytes(half[:-8])  # the end of the stream is there, its checksum is not

    source = TableSource(path=str(tmp_path / name))
    check(source)
    *read, damaged = read_file(str(tmp_path / name), source=source, folder=f"{tmp_path}/")

    found = sum(piece.candidates.num_rows for piece in read)
    assert 20_000 / 2 - 3_000 < found < 20_000 / 2 + 10  # a piece of 64 KB may be lost
    assert [(file.name, file.reason) for file in damaged.damaged_files] == [
        (name, f"cannot be read as {name[2:-3]}: {CUT_GZIP}")
    ]


@pytest.mark.parametrize("num_zeros", [1, 9, 512, 1 << 20])
@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.parquet.gz"])
def test_zeros_behind_a_gzip_are_no_damage(tmp_path: Path, name: str, num_zeros: int) -> None:
    packed = gzip.compress(dict(CONTENT)[name.removesuffix(".gz")])
    (tmp_path / name).write_bytes(packed + bytes(num_zeros))

    assert pairs(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda packed: packed[:-9] + bytes(512), "", id="zeros in place of its end"),
        pytest.param(lambda packed: packed + b"words", "Not a gzipped file", id="words behind it"),
        pytest.param(
            lambda packed: packed[:20] + b"\xff" * 40 + packed[60:],
            "decompressing",
            id="its middle",
        ),
    ],
)
def test_a_gzip_that_is_damaged_is_an_error(
    tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    text = lines_of({"url": [f"{CAT}?{n}" for n in range(9)], "caption": list(range(9))}, ",")
    (tmp_path / "t.csv.gz").write_bytes(change(gzip.compress(text)))

    with pytest.raises(InputError, match=rf"t\.csv\.gz cannot be read as csv: .*{said}"):
        read(tmp_path / "t.csv.gz")
