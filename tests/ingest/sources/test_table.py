import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.hashing import candidate_key
from openalign.ingest.sources import table_reading
from openalign.ingest.sources.table import TableSource, check
from openalign.ingest.sources.table_files import table_files
from openalign.ingest.sources.table_reading import read_candidates

CAT = "http://a.example/cat.png"
DOG = "http://a.example/dog.png"


def read(path: Path, **changes: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    source = TableSource(path=str(path), **changes)
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    check(source)
    for url in table_files(source.path):
        for piece in read_candidates(url, source=source):
            rows += pl.DataFrame(piece.candidates).to_dicts()
            counts.update(piece.counts)
    return rows, counts


def pairs(path: Path, **changes: Any) -> list[tuple[str, str]]:
    return [(row["image_url"], row["alt_text"]) for row in read(path, **changes)[0]]


def message(path: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        check(TableSource(path=str(path), **changes))
    assert caught.value.hint
    return str(caught.value)


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


def test_a_pattern_names_several_files_in_order(tmp_path: Path) -> None:
    for name, url in (("b", DOG), ("a", CAT)):
        (tmp_path / f"{name}.csv").write_text(f"url,caption\n{url},{name}\n")

    assert pairs(tmp_path / "*.csv") == [(CAT, "a"), (DOG, "b")]


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
    assert counts == {"found": 7, "no_alt_text": 1, "data_url": 1, "bad_url": 4}


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


def test_every_file_of_a_pattern_is_checked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,caption\n")
    (tmp_path / "b.csv").write_text("url,text\n")

    assert "b.csv has no column `caption`" in message(tmp_path / "*.csv")


def test_a_column_of_numbers_is_an_error(tmp_path: Path) -> None:
    pl.DataFrame({"url": [CAT], "caption": [1]}).write_parquet(tmp_path / "t.parquet")

    assert "column `caption` holds int64, but must hold text" in message(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz", "no-ending"])
def test_a_file_that_is_not_what_it_seems_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")

    assert f"{tmp_path / name} cannot be read as " in message(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "*.parquet", "folder"])
def test_a_table_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    assert message(tmp_path / name) == f"{tmp_path / name} names no file"


def test_a_folder_stands_for_every_table_below_it(tmp_path: Path) -> None:
    pl.DataFrame({"url": [CAT], "caption": ["a"]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "B.CSV", f"url,caption\n{CAT},b\n")
    write(tmp_path / "c.tsv.gz", f"url\tcaption\n{CAT}\tc\n")
    for other in ("readme.md", "_metadata.parquet", ".hidden.csv"):
        (tmp_path / other).write_text("not a table")

    assert [text for _, text in pairs(tmp_path)] == ["a", "b", "c"]
    assert table_files(str(tmp_path)) == [
        f"{tmp_path}/{name}" for name in ("a.parquet", "below/B.CSV", "c.tsv.gz")
    ]


def test_a_folder_may_have_the_name_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    pl.DataFrame({"url": [CAT], "caption": ["a"]}).write_parquet(
        tmp_path / "t.parquet" / "0.parquet"
    )

    assert table_files(f"{tmp_path}/t.parquet/") == [f"{tmp_path}/t.parquet/0.parquet"]
    assert pairs(tmp_path / "t.parquet") == [(CAT, "a")]


def test_a_folder_elsewhere_than_on_this_machine_is_a_folder_too() -> None:
    for name in ("b.csv", "a.csv"):
        storage.write_text(f"memory://tables/{name}", f"url,caption\n{CAT},{name}\n")

    assert table_files("memory://tables") == ["memory://tables/a.csv", "memory://tables/b.csv"]
    assert table_files("memory://tables/a.csv") == ["memory:///tables/a.csv"]


@pytest.mark.parametrize("content", ["", "notes.txt"], ids=["empty", "without a table"])
def test_a_folder_without_a_table_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "t").mkdir()
    if content:
        (tmp_path / "t" / content).write_text("x")

    assert message(tmp_path / "t") == f"{tmp_path / 't'} names no file"


def test_columns_that_are_not_used_may_hold_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_reading, "_BLOCK_BYTES", 64)
    lines = [f"{n},{CAT},cat {n}" for n in range(50)]
    (tmp_path / "t.csv").write_text("id,url,caption\n" + "\n".join(lines) + f"\nA7,{DOG},dog\n")

    rows = pairs(tmp_path / "t.csv")

    assert len(rows) == 51
    assert rows[-1] == (DOG, "dog")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_no_thread_that_reads_ahead_runs_python(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_reading, "_BLOCK_BYTES", 64)
    write(tmp_path / name, "url,caption\n" + f"{CAT},cat\n" * 50)
    opened: list[object] = []
    real = table_reading.pa_csv.open_csv

    def open_csv(stream: object, **options: Any) -> Any:
        opened.append(stream)
        return real(stream, **options)

    monkeypatch.setattr(table_reading.pa_csv, "open_csv", open_csv)
    monkeypatch.setattr(storage, "open_read", lambda _: (tmp_path / name).open("rb"))
    source = TableSource(path=str(tmp_path / name))

    check(source)
    monkeypatch.setattr(storage, "open_read", None)  # rows of a local file come without it
    rows = list(read_candidates(str(tmp_path / name), source=source))

    assert len(rows) > 1
    native = pa.CompressedInputStream if name.endswith("gz") else pa.OSFile
    assert [type(stream) for stream in opened] == [pa.BufferReader, native]


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("url,caption\n", id="header only"),
        pytest.param(f"url,caption\n{CAT},cat", id="no final newline"),
        pytest.param('url,caption\na,b\nc,"' + "d\n" * 20 + '"\n' + "e,f\n" * 20, id="quoted cut"),
    ],
)
def test_a_check_reads_the_head_of_a_file_however_it_is_cut(
    tmp_path: Path, ending: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_reading, "_BLOCK_BYTES", 24)  # two and a byte end within the quotes
    write(tmp_path / f"t.{ending}", text)

    check(TableSource(path=str(tmp_path / f"t.{ending}")))
    check(TableSource(path=str(tmp_path / f"t.{ending}"), header=("url", "caption")))
    assert "it has url, caption" in message(tmp_path / f"t.{ending}", caption_column="text")


def test_a_line_longer_than_a_block_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_reading, "_BLOCK_BYTES", 24)
    (tmp_path / "t.csv").write_text(f"url,caption\n{CAT},{'cat ' * 50}\n")

    assert "straddles two block boundaries" in message(tmp_path / "t.csv")
