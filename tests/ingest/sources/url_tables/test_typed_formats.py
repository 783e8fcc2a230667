"""The rows of JSON, Parquet and Arrow, as their writers write them and as they break."""

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from table_contents import COLUMNS, ROWS, arrow_file, arrow_stream, objects, parquet
from tables_read import CAT, DOG, message, pairs, read

from openalign.errors import InputError

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


PYTHON = [
    {"url": CAT, "caption": "nan", "x": math.nan},
    {"url": CAT, "caption": "infinite", "x": -math.inf},
    {"url": CAT, "caption": "\ud83d halves \udc31", "x": math.inf},
    {"url": CAT, "caption": "a pair \U0001f431", "x": 0.5},
]


@pytest.mark.parametrize("name", ["t.jsonl", "lines.json", "t.json"])
def test_what_python_writes_beside_json_is_read(tmp_path: Path, name: str) -> None:
    lines = "\n".join(map(json.dumps, PYTHON))
    (tmp_path / name).write_text(json.dumps(PYTHON) if name == "t.json" else lines)

    rows, counts = read(tmp_path / name, carry_columns=("x",))

    assert [(row["alt_text"], json.loads(row["carried"])["x"]) for row in rows] == [
        ("nan", None),
        ("infinite", None),
        ("\ufffd halves \ufffd", None),
        ("a pair \U0001f431", 0.5),
    ]
    assert counts == {"found": 4}


def test_a_line_that_is_nested_too_deeply_is_a_bad_row(tmp_path: Path) -> None:
    deep = "[" * 2000 + "]" * 2000
    lines = [f'{{"url": "{DOG}", "caption": "dog", "x": {deep}}}']
    lines += [f'{{"url": "{DOG}", "caption": "dog", "x": [NaN, {deep}]}}']
    lines += [json.dumps({"url": CAT, "caption": "cat"})]
    (tmp_path / "t.jsonl").write_text("\n".join([*lines, ""]))

    assert read(tmp_path / "t.jsonl")[1] == {"found": 3, "bad_row": 2}


@pytest.mark.parametrize("first", ["", "["], ids=["one object", "a list"])
def test_a_document_that_is_nested_too_deeply_is_an_error(tmp_path: Path, first: str) -> None:
    (tmp_path / "t.json").write_text(f'{first}{{"url": {"[" * 5000}')

    assert message(tmp_path / "t.json") == (
        f"{tmp_path / 't.json'} cannot be read as json: its lists and objects are nested too deeply"
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
    ("columns", "expected"),
    [
        pytest.param(
            {"url": {"0": CAT, "1": DOG}, "caption": {"1": "dog", "0": "cat"}},
            [(CAT, "cat"), (DOG, "dog")],
            id="another order",
        ),
        pytest.param(
            {"url": {"7": CAT, "3": DOG}, "caption": {"7": "cat", "3": "dog"}, "by": {"name": "x"}},
            [(CAT, "cat"), (DOG, "dog")],
            id="some rows",
        ),
        pytest.param(
            {"url": {"1": DOG, "0": CAT}, "caption": ["cat", "dog"], "tags": ["x"]},
            [(DOG, "dog"), (CAT, "cat")],
            id="a list beside",
        ),
    ],
)
def test_columns_of_a_document_meet_by_row_number(
    tmp_path: Path, columns: object, expected: list[tuple[str, str]]
) -> None:
    (tmp_path / "t.json").write_text(json.dumps(columns))

    assert pairs(tmp_path / "t.json") == expected


def test_a_row_that_only_some_columns_have_is_counted(tmp_path: Path) -> None:
    columns = {"url": {"0": CAT, "1": DOG}, "caption": {"1": "dog", "2": "bird"}}
    (tmp_path / "t.json").write_text(json.dumps(columns))

    rows, counts = read(tmp_path / "t.json")

    assert [(row["image_url"], row["alt_text"]) for row in rows] == [(DOG, "dog")]
    assert counts == {"found": 3, "no_alt_text": 1, "bad_url": 1}


def test_lists_of_different_lengths_are_an_error(tmp_path: Path) -> None:
    columns = {"url": [CAT, DOG], "caption": ["cat"], "tags": ["x", "y", "z"], "by": {"a": "x"}}
    (tmp_path / "t.json").write_text(json.dumps(columns))

    assert message(tmp_path / "t.json") == (
        f"{tmp_path / 't.json'} has lists of different lengths: `url` has 2, `caption` has 1"
    )
    assert message(tmp_path / "t.json", caption_column="text") == (
        f"{tmp_path / 't.json'} has no column `text`; it has url"
    )


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


def test_a_null_among_lists_of_one_size_is_told(tmp_path: Path) -> None:
    captions = pa.array([["a cat", "one cat"], None], pa.list_(pa.string(), 2))
    pq.write_table(pa.table({"url": [CAT, DOG], "caption": captions}), tmp_path / "t.parquet")

    said = (
        "t.parquet cannot be read as parquet: pyarrow reads no null among lists of one fixed size"
    )
    with pytest.raises(InputError, match=said):
        read(tmp_path / "t.parquet")


# Conditions ---------------------------------------------------------------------------------------


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("x >= 1000", [DOG]), ("x == 0", [CAT]), ("x not in 0", [DOG]), ("x == 0 s", [])],
)
def test_a_duration_is_a_number_of_its_unit(
    tmp_path: Path, condition: str, expected: list[str]
) -> None:
    lengths = pa.array([0 * SECOND, SECOND], pa.duration("ms"))
    columns = {"url": [CAT, DOG], "caption": ["cat", "dog"], "x": lengths}
    (tmp_path / "t.arrow").write_bytes(arrow_file(columns))

    assert [url for url, _ in pairs(tmp_path / "t.arrow", where=(condition,))] == expected


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([b"ab"], pa.binary(2)), id="bytes of one length"),
        pytest.param(pa.array([(1, 2, 3)], pa.month_day_nano_interval()), id="interval"),
        pytest.param(pa.array([1]).cast(pa.decimal256(50, 0)), id="long decimal"),
        pytest.param(pa.array([{"a": 1}]), id="structure"),
    ],
)
def test_what_no_condition_can_compare_is_told_before_the_read(
    tmp_path: Path, column: pa.Array
) -> None:
    columns: dict[str, Any] = {"url": [CAT], "caption": ["cat"], "x": column}
    (tmp_path / "t.arrow").write_bytes(arrow_file(columns))

    assert message(tmp_path / "t.arrow", where=("x == 1",)) == (
        f"{tmp_path / 't.arrow'}: column `x` holds {column.type}, but must hold text, numbers, "
        "dates or times"
    )
