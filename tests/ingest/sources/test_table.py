import gzip
import random
from pathlib import Path
from typing import Any, get_args, get_type_hints

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables_read import CAT, DOG, message, pairs, read

from openalign.errors import InputError
from openalign.files.hashing import candidate_key
from openalign.ingest.sources.table import TableSource, check
from openalign.ingest.sources.table_layouts import LAYOUTS
from openalign.ingest.sources.url_tables.found import table_files
from openalign.ingest.sources.url_tables.table_reading import read_file
from openalign.ingest.webpage.texts import collapse


def test_a_row_becomes_a_candidate(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,url,caption\n7, HTTP://A.example:80/cat.png#x ,a \t cat\n")

    [row], counts = read(path)

    assert row == {
        "key": candidate_key(CAT, "a cat"),
        "image_url": CAT,
        "alt_text": "a cat",
        "page_url": None,
        "found_in": "table",
        "raw_image_url": "HTTP://A.example:80/cat.png#x",
        "archive": None,
        "archive_offset": None,
        "page_language": None,
        "expected_sha256": None,
        "carried": None,
        "locator": None,
        "address_from": None,
        "text_language": None,
    }
    assert counts == {"found": 1}


def write(path: Path, text: str) -> None:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.CSV"])
def test_csv_has_quotes_and_lines_within_them(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, f'url,caption\n{CAT},"a ""big"",\ncat"\n{DOG},dog\n')

    assert pairs(tmp_path / name) == [(CAT, 'a "big", cat'), (DOG, "dog")]


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_tsv_has_no_quotes(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, f'url\tcaption\n{CAT}\t"a big", cat\n{DOG}\t6" dog\n')

    assert pairs(tmp_path / name) == [(CAT, '"a big", cat'), (DOG, '6" dog')]


def test_a_tsv_without_a_line_of_names_is_told_its_names(tmp_path: Path) -> None:
    path = tmp_path / "Train_GCC-training.tsv"
    path.write_text(f"a cat\t{CAT}\na dog\t{DOG}\n")

    assert pairs(path, header=("caption", "url")) == [(CAT, "a cat"), (DOG, "a dog")]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.string_view()], ids=str
)
def test_parquet_columns_may_hold_text_of_any_type_and_other_names(
    tmp_path: Path, kind: pa.DataType
) -> None:
    columns = {"link": pa.array([CAT, DOG]).cast(kind), "text": pa.array(["cat", None]).cast(kind)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")

    rows = pairs(tmp_path / "t.parquet", url_column="link", caption_column="text")

    assert rows == [(CAT, "cat")]


def test_every_row_is_counted_once(tmp_path: Path) -> None:
    lines = [
        f"{CAT}\ta cat",
        f"{CAT}\t  ",
        "data:image/png;base64,AA\tinline",
        "not a url\ta cat",
        "\ta cat",
        f"{CAT}\ttoo\tmany",
        "too few",
    ]
    (tmp_path / "t.tsv").write_text("url\tcaption\n" + "\n".join(lines) + "\n")

    rows, counts = read(tmp_path / "t.tsv")

    assert len(rows) == 1
    assert counts == {"found": 7, "no_alt_text": 1, "data_url": 1, "bad_url": 2, "bad_row": 2}


def test_a_cell_that_is_not_utf8_costs_only_its_broken_bytes(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(f"url\tcaption\n{CAT}\td\xf6g\n{DOG}\tdog\n".encode("latin-1"))

    assert pairs(tmp_path / "t.tsv") == [(CAT, "d\ufffdg"), (DOG, "dog")]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_a_missing_column_is_an_error_that_names_file_column_and_columns(
    tmp_path: Path, name: str
) -> None:
    content = pl.DataFrame({"url": [CAT], "text": ["cat"]})
    path = tmp_path / name
    if name.endswith("parquet"):
        content.write_parquet(path)
    else:
        content.write_csv(path, separator="\t" if name.endswith("tsv") else ",")

    assert message(path) == f"{path} has no column `caption`; it has url, text"
    assert f"{path} has no column `link`" in message(path, url_column="link")


@pytest.mark.parametrize(
    ("text", "settings", "hint"),
    [
        pytest.param("a cat\t{}\n", {}, "write `layout: cc3m`", id="a row as in CC3M"),
        pytest.param("{}\ta cat\n", {}, "write `layout: cc12m`", id="a row as in CC12M"),
        pytest.param("{}\ta\tb\n", {}, "`harvest.source.url_column`", id="a row of three"),
        pytest.param("{}\t{}\n", {}, "`harvest.source.url_column`", id="two addresses"),
        pytest.param(
            "url\tcaption\n",
            {"url_column": "x"},
            "`harvest.source.url_column`",
            id="usual",
        ),
    ],
)
def test_a_missing_column_says_what_to_write(
    tmp_path: Path, text: str, settings: dict[str, str], hint: str
) -> None:
    (tmp_path / "t.tsv").write_text(text.replace("{}", CAT))

    with pytest.raises(InputError) as caught:
        pairs(tmp_path / "t.tsv", **settings)
    assert hint in str(caught.value.hint)


def test_every_file_of_a_pattern_is_checked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,caption\n")
    (tmp_path / "b.csv").write_text("url,text\n")

    assert "b.csv has no column `caption`" in message(tmp_path / "*.csv")


def test_a_column_of_numbers_is_an_error(tmp_path: Path) -> None:
    pl.DataFrame({"url": [CAT], "caption": [1]}).write_parquet(tmp_path / "t.parquet")

    assert "column `caption` holds int64, but must hold text" in message(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "no-ending"])
def test_a_file_that_is_not_what_it_seems_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")

    assert f"{tmp_path / name} cannot be read as " in message(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.json", "t.jsonl", "t.txt"])
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    with pytest.raises(InputError) as refused:
        check(TableSource(path=str(tmp_path / name)))

    said = f"{refused.value} {refused.value.hint}"
    assert "is a Git LFS pointer, not the file itself" in said
    assert "`git lfs pull`" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("b.parquet", b"PAR1 and no end", id="parquet"),
        pytest.param("b.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\3abc", id="packed"),
        pytest.param("b.json", b'[{"url": "x", ', id="json"),
    ],
)
def test_a_damaged_file_among_whole_ones_stops_nothing(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / "a.csv").write_text(f"url,caption\n{CAT},cat\n")
    (tmp_path / name).write_bytes(content)
    # A folder of CSV files holds JSON documents as notes.
    source = TableSource(path=f"{tmp_path}/*")

    check(source)
    [*whole, damaged] = [
        piece
        for url in table_files(source.path)
        for piece in read_file(url, source=source, folder=f"{tmp_path}/")
    ]

    assert [(each.origin, each.candidates.num_rows) for each in whole if each.counts] == [
        ("a.csv", 1)
    ]
    [file] = damaged.damaged_files
    assert file.name == damaged.origin == name
    assert file.reason.startswith("cannot be read as ")
    assert str(tmp_path) not in file.reason
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InputError, match=f"{name} cannot be read as "):
        check(source)


def test_an_address_without_a_scheme_is_one_of_https(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("url,caption\n//A.example/cat.png,cat\n")

    [row], _ = read(tmp_path / "t.csv")

    assert row["image_url"] == "https://a.example/cat.png"
    assert row["raw_image_url"] == "//A.example/cat.png"


def test_rows_that_are_not_asked_for_are_counted(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "URL": [CAT, DOG, CAT, DOG],
            "TEXT": ["cat", "dog", "chat", "Hund"],
            "similarity": [0.3, 0.29, 0.4, 0.4],
            "LANGUAGE": ["en", "en", "fr", "de-CH"],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    where = ("similarity >= 0.3", "LANGUAGE in en, de-CH")

    rows, counts = read(
        tmp_path / "t.parquet", layout="laion", where=where, language_column="LANGUAGE"
    )

    assert [(row["alt_text"], row["page_language"]) for row in rows] == [
        ("cat", "en"),
        ("Hund", "de"),
    ]
    assert counts == {"found": 4, "left_out": 2}


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_columns_travel_along_as_json(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"url": [CAT], "b": [2], "a": ["x"], "caption": ["cat"], "none": [None]})
    if name.endswith("csv"):
        frame.write_csv(tmp_path / name)
    else:
        frame.write_parquet(tmp_path / name)

    [row], _ = read(tmp_path / name, carry_columns=("b", "a", "none"))

    is_csv = name.endswith("csv")
    assert row["carried"] == (
        '{"a":"x","b":"2","none":""}' if is_csv else '{"a":"x","b":2,"none":null}'
    )


@pytest.mark.parametrize("setting", ["where", "carry_columns"])
def test_columns_that_are_named_must_be_there(tmp_path: Path, setting: str) -> None:
    (tmp_path / "t.csv").write_text("url,caption\n")
    named = ("score > 1",) if setting == "where" else ("score",)

    assert "has no column `score`" in message(tmp_path / "t.csv", **{setting: named})


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        pytest.param(
            {"where": ("WIDHT >= 2",)}, "did you mean `WIDTH`?", id="a condition with a typo"
        ),
        pytest.param({"where": ("width >= 2",)}, "did you mean `WIDTH`?", id="in small letters"),
        pytest.param({"carry_columns": ("WITH",)}, "did you mean `WIDTH`?", id="to carry"),
        pytest.param(
            {"where": ("score >= 2",)},
            "`harvest.source.where` names columns as the table spells them",
            id="no such column",
        ),
        pytest.param(
            {"layout": "", "url_column": "URLL", "caption_column": "TEXT"},
            "did you mean `URL`?",
            id="a column that the user named",
        ),
        pytest.param(
            {"layout": "coyo"},
            "these are the columns of a published table: write `layout: laion`",
            id="another layout",
        ),
        pytest.param(
            {"layout": "sbu"},
            "these are the columns of a published table: write `layout: laion`",
            id="a layout with other columns",
        ),
    ],
)
def test_a_column_that_is_not_there_gets_the_one_that_was_meant(
    tmp_path: Path, settings: dict[str, Any], hint: str
) -> None:
    table = pl.DataFrame({"URL": [CAT], "TEXT": ["a cat"], "WIDTH": [200]})
    table.write_parquet(tmp_path / "t.parquet")

    with pytest.raises(InputError, match="has no column") as caught:
        pairs(tmp_path / "t.parquet", **{"layout": "laion", **settings})

    assert caught.value.hint == hint


def test_a_layout_that_does_not_fit_is_not_named_again(tmp_path: Path) -> None:
    pl.DataFrame({"URL": [CAT], "text": ["a cat"]}).write_parquet(tmp_path / "t.parquet")

    with pytest.raises(InputError, match="has no column `TEXT`") as caught:
        pairs(tmp_path / "t.parquet", layout="laion")

    assert caught.value.hint == (
        "this is no table as `layout: laion` has it: name the columns in its place"
    )


def test_an_expected_hash_travels_along(tmp_path: Path) -> None:
    hashes = ["AB" * 32, "ab" * 31, None]
    frame = pl.DataFrame({"url": [CAT] * 3, "text": ["a", "b", "c"], "sha256": hashes})
    frame.write_parquet(tmp_path / "t.parquet")

    rows, _ = read(tmp_path / "t.parquet", layout="datacomp")

    assert [row["expected_sha256"] for row in rows] == ["ab" * 32, None, None]


PUBLISHED: dict[str, tuple[str, Any]] = {
    "cc3m": ("Train_GCC-training.tsv", f"a cat\t{CAT}\n"),
    "cc12m": ("cc12m.tsv", f"{CAT}\ta cat\n"),
    "laion": ("part-0.snappy.parquet", {"SAMPLE_ID": [1], "URL": [CAT], "TEXT": ["a cat"]}),
    "coyo": ("part-0.snappy.parquet", {"id": [1], "url": [CAT], "text": ["a cat"]}),
    "datacomp": ("0.parquet", {"url": [CAT], "text": ["a cat"], "sha256": ["ab" * 32]}),
    "redcaps": (
        "shiba_2019.json",
        f'{{"info": {{}}, "annotations": [{{"url": "{CAT}", "caption": "a cat"}}]}}',
    ),
    "sbu": ("sbu-captions-all.json", f'{{"image_urls": ["{CAT}"], "captions": ["a cat"]}}'),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_published_table_is_read_as_it_is_published(tmp_path: Path, layout: str) -> None:
    name, table = PUBLISHED[layout]
    if isinstance(table, str):
        (tmp_path / name).write_text(table)
    else:
        pl.DataFrame(table).write_parquet(tmp_path / name)

    assert pairs(tmp_path / name, layout=layout) == [(CAT, "a cat")]


def test_every_layout_can_be_set() -> None:
    assert set(get_args(get_type_hints(TableSource)["layout"])) == {"", *LAYOUTS}


def test_a_table_with_the_columns_of_a_layout_is_recognized(tmp_path: Path) -> None:
    pl.DataFrame({"URL": [CAT], "TEXT": ["cat"]}).write_parquet(tmp_path / "t.parquet")

    with pytest.raises(InputError) as caught:
        pairs(tmp_path / "t.parquet")

    assert caught.value.hint == (
        "these are the columns of a published table: write `layout: laion`"
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"url_column": "x"}, "url_column"),
        ({"caption_column": "x"}, "caption_column"),
        ({"header": ("url", "x"), "caption_column": "x"}, "caption_column and header"),
    ],
)
def test_a_layout_names_the_columns_alone(changes: dict[str, Any], named: str) -> None:
    said = f"layout coyo names the columns itself: {named} must not be set beside it"

    with pytest.raises(ValueError, match=f"^{said}$"):
        TableSource(path="x", layout="coyo", **changes)


def test_a_condition_is_checked_with_the_settings() -> None:
    with pytest.raises(ValueError, match="where must hold conditions such as"):
        TableSource(path="x", where=("similarity",))


def test_white_space_is_collapsed_as_the_crawl_collapses_it(tmp_path: Path) -> None:
    rng = random.Random(0)
    letters = "ab  \0\t\n\x1c\x1f\x85\xa0\u1680\u2000\u2028\u202f\u3000\u200b\ufeff]^-\\"
    around = ["".join(rng.choices(letters, k=rng.randint(0, 3))) for _ in range(6000)]
    texts = [before + "c" + after for before, after in zip(around[::2], around[1::2], strict=True)]
    urls = [f"\x1c\u3000 {CAT}?{n}\x1f\xa0" for n in range(len(texts))]
    pl.DataFrame({"url": urls, "caption": texts}).write_parquet(tmp_path / "t.parquet")

    rows, _ = read(tmp_path / "t.parquet")

    assert [row["alt_text"] for row in rows] == [collapse(text) for text in texts]
    assert [row["raw_image_url"] for row in rows] == [url.strip() for url in urls]
