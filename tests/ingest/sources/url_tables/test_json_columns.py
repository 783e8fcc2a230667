"""JSON rows that are of another kind than those around them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tables_read import CAT, DOG, message, pairs, read

from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables import content
from openalign.ingest.sources.url_tables.json_columns import rows_of

HEN = "http://a.example/hen.png"
NAMES = ["t.jsonl", "t.json"]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """Write rows as JSON lines, or as a document where the name says so."""
    lines = [json.dumps(row) for row in rows]
    is_document = path.suffix == ".json"
    path.write_text(f"[{','.join(lines)}]" if is_document else "\n".join([*lines, ""]))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_of_another_kind_touches_no_other(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        {"url": CAT, "caption": ["a cat", "one cat"]},
        {"url": DOG, "caption": "a dog"},
        {"url": HEN, "caption": [5, "hens"]},
        {"url": HEN, "caption": 7},
        {"url": HEN, "caption": ["lost", ["deep"]]},
        {"url": HEN, "caption": {"en": "lost"}},
        {"url": HEN, "caption": None},
    )

    rows, counts = read(path)

    assert [(row["image_url"], row["alt_text"]) for row in rows] == [
        *[(CAT, "a cat"), (CAT, "one cat"), (DOG, "a dog")],
        *[(HEN, "5"), (HEN, "hens"), (HEN, "7")],
    ]
    assert counts == {"found": 9, "bad_row": 2, "no_alt_text": 1}


@pytest.mark.parametrize("beside", [2.0, "two", 1e20])
def test_a_number_is_the_same_text_whatever_is_beside_it(beside: object) -> None:
    rows = [{"url": CAT, "caption": 2.0}, {"url": DOG, "caption": beside}]

    read_rows = rows_of(rows, ["caption"], TableSource(path="t.jsonl"))

    assert read_rows.batch["caption"].to_pylist()[0] == "2.0"


def test_an_address_of_another_kind_touches_no_other(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl",
        {"url": CAT, "caption": "a cat"},
        {"url": [DOG], "caption": "a dog"},
        {"url": 5, "caption": "five"},
        {"url": HEN, "caption": "a hen"},
    )

    rows, counts = read(path)

    assert [row["image_url"] for row in rows] == [CAT, HEN]
    assert counts == {"found": 4, "bad_row": 1, "bad_url": 1}


@pytest.mark.parametrize("head_bytes", [1024, 128], ids=["in the head", "behind it"])
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"url": [HEN]}, id="address"),
        pytest.param({"language": ["en"]}, id="language"),
        pytest.param({"sha256": {"hex": ""}}, id="hash"),
        pytest.param({"n": [1]}, id="condition"),
        pytest.param({"caption": {"en": "a hen"}}, id="caption"),
    ],
)
def test_a_list_in_place_of_a_single_value_is_a_bad_row_wherever_it_lies(
    tmp_path: Path, odd: dict[str, Any], head_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "HEAD_BYTES", head_bytes)
    monkeypatch.setattr(content, "BLOCK_BYTES", 256)
    row = {"url": CAT, "caption": "a cat", "language": "en", "sha256": "", "n": 1}
    path = write(tmp_path / "t.jsonl", row, row, row, {**row, **odd}, {**row, "url": DOG})

    rows, counts = read(path, language_column="language", sha256_column="sha256", where=("n == 1",))

    assert [row["image_url"] for row in rows] == [CAT, CAT, CAT, DOG]
    assert counts == {"found": 5, "bad_row": 1}


def test_a_column_that_holds_nothing_but_lists_is_told_before_the_read(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"url": [CAT], "caption": "a cat"}, {"caption": "none"})

    assert "column `url` holds list<item: string>, but must hold text" in message(path)


@pytest.mark.parametrize(
    ("values", "condition", "expected"),
    [
        pytest.param([1, 2, "one"], "n == 1.0", [0], id="a text among numbers"),
        pytest.param([1, "2", 2**70], "n >= 2", [1, 2], id="numbers in every writing"),
        pytest.param(["1", "1.0", 1], "n == 1", [0, 2], id="a number among texts"),
        pytest.param([True, "true", 1], "n == true", [0, 1], id="truth and text"),
        pytest.param([1, None, "x"], "n != 2", [0, 2], id="as many of both"),
    ],
)
def test_most_values_say_whether_a_condition_compares_numbers(
    tmp_path: Path, values: list[Any], condition: str, expected: list[int]
) -> None:
    rows = [{"url": CAT, "caption": str(at), "n": value} for at, value in enumerate(values)]

    found = pairs(write(tmp_path / "t.jsonl", *rows), where=(condition,))

    assert [int(text) for _, text in found] == expected


def test_what_travels_along_stays_as_it_is(tmp_path: Path) -> None:
    values = [1, 2.5, "three", ["a", 4], {"b": None}, None, 2**70, True]
    rows = [{"url": CAT, "caption": "a cat", "more": value} for value in values]

    read_rows, _ = read(write(tmp_path / "t.jsonl", *rows), carry_columns=("more",))

    assert [json.loads(row["carried"]) for row in read_rows] == [{"more": v} for v in values]
