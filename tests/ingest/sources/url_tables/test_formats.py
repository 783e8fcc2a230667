"""The rows of each format, as its writers write them and as they break."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from tables_read import CAT, DOG, message, pairs, read

from openalign.errors import InputError
from openalign.ingest.sources.table import TableSource, check
from openalign.ingest.sources.url_tables import content
from openalign.ingest.sources.url_tables.formats import FORMATS
from openalign.ingest.sources.url_tables.found import _FORMATS
from openalign.ingest.sources.url_tables.table_reading import read_file

ROWS = [(CAT, "a cat"), (DOG, "ein Hündchen")]
COLUMNS = {"id": [1, 2], "url": [CAT, DOG], "caption": ["a cat", "ein Hündchen"]}


def lines_of(values: dict[str, list[Any]], delimiter: str) -> bytes:
    rows = [list(values), *zip(*values.values(), strict=True)]
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows).encode()


def parquet(values: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(values), sink)
    return sink.getvalue().to_pybytes()


def arrow_file(values: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.feather.write_feather(pa.table(values), sink)
    return sink.getvalue().to_pybytes()


def arrow_stream(values: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(values)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return sink.getvalue().to_pybytes()


def objects(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_a_text_with_a_byte_order_mark_is_read(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK_BYTES", 61)  # odd, so that blocks end within a character
    text = f"url,caption\r\n{CAT},a c\U0001f431t\r\n{DOG},h\xfcndchen\r\n"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
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


# JSON ---------------------------------------------------------------------------------------------


def test_a_line_that_is_no_object_is_a_bad_row(tmp_path: Path) -> None:
    lines = [
        json.dumps({"url": CAT, "caption": "cat"}),
        '{"url": "http://a.example/cut.png", "capt',
        "[1]",
        "",
        json.dumps({"url": DOG, "caption": ["dog", "hound"], "more": {"x": 1}}),
        json.dumps({"caption": "no address"}),
        json.dumps({"url": DOG}),
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))

    rows, counts = read(tmp_path / "t.jsonl")

    assert [(row["image_url"], row["alt_text"]) for row in rows] == [
        (CAT, "cat"),
        (DOG, "dog"),
        (DOG, "hound"),
    ]
    assert counts == {"found": 7, "bad_row": 2, "bad_url": 1, "no_alt_text": 1}


def test_a_jsonl_without_an_object_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("url,caption\n")

    assert "cannot be read as jsonl: its first lines are no JSON objects" in message(
        tmp_path / "t.jsonl"
    )


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"info": {"v": 1}, "annotations": objects(COLUMNS)}, id="beside other facts"),
        pytest.param(
            {name: dict(enumerate(values)) for name, values in COLUMNS.items()}, id="by row number"
        ),
        pytest.param({**COLUMNS, "author": "me", "tags": ["x"]}, id="other members"),
    ],
)
def test_a_document_holds_its_table_in_several_ways(tmp_path: Path, document: object) -> None:
    (tmp_path / "t.json").write_text(json.dumps(document))

    assert pairs(tmp_path / "t.json") == ROWS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": 1, "b": [1, 2]}', "holds no table", id="no table"),
        pytest.param('{"a": [{}], "b": [{}]}', "holds no table", id="two tables"),
        pytest.param('[{"url": 1', "cannot be read as json: Input data was truncated", id="cut"),
    ],
)
def test_a_document_without_a_table_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "t.json").write_text(text)

    assert expected in message(tmp_path / "t.json")


# Parquet and Arrow --------------------------------------------------------------------------------


def not_utf8(value: bytes) -> pa.Array:
    """Return a text column that holds bytes as they are, as Spark writes it."""
    return pa.Array.from_buffers(pa.string(), 1, pa.array([value]).buffers())


@pytest.mark.parametrize(
    "caption",
    [
        pytest.param(not_utf8(b"caf\xe9!"), id="text"),
        pytest.param(
            pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), not_utf8(b"caf\xe9!")), id="list"
        ),
    ],
)
def test_a_text_that_is_not_utf8_costs_only_its_broken_bytes(
    tmp_path: Path, caption: pa.Array
) -> None:
    pq.write_table(pa.table({"url": [CAT], "caption": caption}), tmp_path / "t.parquet")

    assert pairs(tmp_path / "t.parquet") == [(CAT, "caf\ufffd!")]


def test_a_column_without_a_value_has_no_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": [CAT], "caption": ["cat"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"url": [DOG], "caption": pa.nulls(1)}), tmp_path / "b.parquet")

    rows, counts = read(tmp_path)

    assert [row["image_url"] for row in rows] == [CAT]
    assert counts == {"found": 2, "no_alt_text": 1}


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_categories_are_what_they_name(tmp_path: Path, name: str) -> None:
    chunks = [COLUMNS["url"], COLUMNS["url"][::-1]]
    columns = {
        "url": pa.chunked_array([pa.array(chunk).dictionary_encode() for chunk in chunks]),
        "caption": pa.array(COLUMNS["caption"] + COLUMNS["caption"][::-1]).dictionary_encode(),
    }
    packed = parquet(columns) if name.endswith("parquet") else arrow_stream(columns)
    (tmp_path / name).write_bytes(packed)

    assert pairs(tmp_path / name) == ROWS + ROWS[::-1]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())], ids=["list", "large list"]
)
def test_a_list_of_captions_is_as_many_pairs(tmp_path: Path, kind: pa.DataType) -> None:
    captions = pa.array([["a cat", "one cat", ""], [], None], kind)
    pq.write_table(pa.table({"url": [CAT, DOG, DOG], "caption": captions}), tmp_path / "t.parquet")

    rows, counts = read(tmp_path / "t.parquet")

    assert [(row["image_url"], row["alt_text"]) for row in rows] == [
        (CAT, "a cat"),
        (CAT, "one cat"),
    ]
    assert counts == {"found": 5, "no_alt_text": 3}


def test_the_error_of_a_damaged_page_names_the_file(tmp_path: Path) -> None:
    columns = {
        "url": [f"{CAT}?{n}" for n in range(100)],
        "caption": [f"cat {n}" for n in range(100)],
    }
    for name in ("p0", "p1"):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet", compression="zstd")
    damaged = bytearray((tmp_path / "p1.parquet").read_bytes())
    damaged[60:160] = bytes(100)
    (tmp_path / "p1.parquet").write_bytes(damaged)

    with pytest.raises(InputError, match=r"p1\.parquet cannot be read as parquet: ") as caught:
        read(tmp_path)
    assert caught.value.hint == "the file is damaged, or has another format than its ending says"


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.bz2", "t.parquet.zst"])
def test_a_packed_file_that_was_cut_is_an_error(tmp_path: Path, name: str) -> None:
    ending = f".{name.rpartition('.')[2]}"
    whole = PACK[ending](dict(CONTENT)[name.removesuffix(ending)])
    (tmp_path / name).write_bytes(whole[:-9])

    assert "Truncated compressed stream" in message(tmp_path / name)


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.jsonl.gz"])
def test_of_a_packed_file_the_rows_before_its_damage_are_read(tmp_path: Path, name: str) -> None:
    texts = {"url": [f"{CAT}?{n}" for n in range(20_000)], "caption": ["cat"] * 20_000}
    whole = lines_of(texts, "\t") if "tsv" in name else pl.DataFrame(texts).write_ndjson().encode()
    half = gzip.compress(whole[: len(whole) // 2])
    (tmp_path / name).write_bytes(half[:-8])  # the end of the stream is there, its checksum is not

    source = TableSource(path=str(tmp_path / name))
    check(source)
    *read, damaged = read_file(source.path, source=source, folder=f"{tmp_path}/")

    found = sum(piece.candidates.num_rows for piece in read)
    assert 20_000 / 2 - 3_000 < found < 20_000 / 2 + 10  # a piece of 64 KB may be lost
    assert [(file.name, file.reason) for file in damaged.damaged_files] == [
        (name, f"cannot be read as {name[2:-3]}: Truncated compressed stream")
    ]
