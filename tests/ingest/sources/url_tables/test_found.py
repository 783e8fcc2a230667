"""Which files a table is made of."""

import gzip
import os
from pathlib import Path

import polars as pl
import pytest
from faulty_web import Reply, serve
from local_ports import free_port
from range_server import range_server
from tables_read import CAT, DOG, message, pairs

from openalign.errors import InputError
from openalign.files import storage
from openalign.ingest.sources.source_files import folder_of
from openalign.ingest.sources.url_tables.found import codec_of, format_of, table_files


def test_a_pattern_names_several_files_in_order(tmp_path: Path) -> None:
    for name, url in (("b", DOG), ("a", CAT)):
        (tmp_path / f"{name}.csv").write_text(f"url,caption\n{url},{name}\n")

    assert pairs(tmp_path / "*.csv") == [(CAT, "a"), (DOG, "b")]


def test_a_list_names_files_folders_and_patterns_and_each_file_once(tmp_path: Path) -> None:
    for name in ("a.csv", "b1.csv", "b2.csv", "more/c.csv", "left_out.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"url,caption\n{CAT},{name}\n")
    paths = ("more", "b*.csv", "a.csv", "b2.csv")

    found = table_files(tuple(f"{tmp_path}/{path}" for path in paths))

    names = ["more/c.csv", "b1.csv", "b2.csv", "a.csv"]
    assert found == [f"{tmp_path}/{name}" for name in names]
    assert folder_of(tuple(found), found) == f"{tmp_path}/"


def test_a_file_is_read_once_and_named_alike_however_its_path_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/a.csv", "in/b.csv", "more/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"url,caption\n{CAT},{name}\n")
    monkeypatch.chdir(tmp_path)
    paths = ("in", "in/b.csv", "./in/*", f"{tmp_path}/in/a.csv", "more/c.csv")

    found = table_files(paths)

    assert found == [f"{tmp_path}/{name}" for name in ("in/a.csv", "in/b.csv", "more/c.csv")]
    assert folder_of(paths, found) == f"{tmp_path}/"


def test_every_path_of_a_list_must_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"url,caption\n{CAT},a\n")
    with pytest.raises(InputError) as caught:
        table_files((f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"))
    assert str(caught.value) == f"{tmp_path}/b.csv names no file"


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "*.parquet", "folder"])
def test_a_table_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    assert message(tmp_path / name) == f"{tmp_path / name} names no file"


@pytest.mark.parametrize("name", ["x.csv", "*.csv", "folder"])
def test_a_web_server_that_cannot_be_reached_is_named(name: str) -> None:
    server = f"http://127.0.0.1:{free_port()}/"

    with pytest.raises(InputError) as caught:
        table_files(server + name)

    named = server + name.removeprefix("*.csv")
    assert str(caught.value).startswith(f"{named} cannot be reached: Cannot connect to host")


def test_a_pattern_needs_no_more_than_the_list_of_its_folder() -> None:
    listed = Reply(body=b'<a href="part-1.csv">1</a>', headers=[("Content-Type", "text/html")])
    with serve({"/f/": listed, "/f/part-": Reply(status=403)}) as web:
        folder = f"http://{web.address}/f"

        assert table_files(f"{folder}/part-*.csv") == [f"{folder}/part-1.csv"]


def test_a_file_that_a_web_server_does_not_have_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"url,caption\n{CAT},a\n")

    with range_server(tmp_path) as server:
        assert table_files(f"{server.url}/t.csv") == [f"{server.url}/t.csv"]
        with pytest.raises(InputError, match=r"/gone\.csv names no file"):
            table_files(f"{server.url}/gone.csv")


def test_a_folder_stands_for_every_table_below_it(tmp_path: Path) -> None:
    pl.DataFrame({"url": [CAT], "caption": ["a"]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "B.CSV").write_text(f"url,caption\n{CAT},b\n")
    (tmp_path / "c.tsv.gz").write_bytes(gzip.compress(f"url\tcaption\n{CAT}\tc\n".encode()))
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


@pytest.mark.parametrize("content", ["", "notes.md"], ids=["empty", "without a table"])
def test_a_folder_without_a_table_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "t").mkdir()
    if content:
        (tmp_path / "t" / content).write_text("x")

    assert message(tmp_path / "t") == f"{tmp_path / 't'} names no file"


@pytest.mark.parametrize(
    ("url", "file_format", "codec"),
    [
        pytest.param("a/T.CSV.GZ", "csv", "gzip", id="upper case"),
        pytest.param("t.tsv.zst", "tsv", "zstd", id="zst"),
        pytest.param("t.parquet.bz2", "parquet", "bz2", id="bz2"),
        pytest.param("t.feather", "arrow", None, id="another name of Arrow"),
        pytest.param("t.ndjson", "jsonl", None, id="another name of JSON lines"),
        pytest.param("t.json", "json", None, id="json"),
        pytest.param("a.csv/part-0", None, None, id="no ending"),
        pytest.param("t.gz", None, "gzip", id="compression alone"),
        pytest.param("https://h.example/t.csv.gz?download=1.2", "csv", "gzip", id="query"),
        pytest.param("odd?/t.csv", "csv", None, id="a question mark on disk"),
    ],
)
def test_an_ending_says_format_and_compression(
    url: str, file_format: str | None, codec: str | None
) -> None:
    assert (format_of(url), codec_of(url)) == (file_format, codec)


@pytest.mark.parametrize("folder", ["runs [v1]", "runs [v1", "what?"])
def test_only_stars_have_a_meaning_in_a_pattern(tmp_path: Path, folder: str) -> None:
    for name in (folder, "runs v", "whatx"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.csv").write_text(f"url,caption\n{CAT},{name}\n")
        storage.write_text(f"memory://brackets/{name}/p.csv", "url,caption\n")

    assert [text for _, text in pairs(tmp_path / folder / "*.csv")] == [folder]
    assert [text for _, text in pairs(tmp_path / folder)] == [folder]
    assert table_files(f"memory://brackets/{folder}/*.csv") == [
        f"memory:///brackets/{folder}/p.csv"
    ]


def test_a_folder_that_a_pattern_names_stands_for_its_tables(tmp_path: Path) -> None:
    for day, url in (("day=1", CAT), ("day=2", DOG)):
        (tmp_path / day).mkdir()
        (tmp_path / day / "_SUCCESS").write_text("")
        (tmp_path / day / "p.csv").write_text(f"url,caption\n{url},{day}\n")

    assert pairs(tmp_path / "day=*") == [(CAT, "day=1"), (DOG, "day=2")]


@pytest.mark.parametrize("folder", ["{}", "memory:///notes"], ids=["local", "elsewhere"])
@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        pytest.param("*", ["day/part-1.csv", "part-0.csv"], id="a star"),
        pytest.param("da*", ["day/part-1.csv"], id="a folder"),
        pytest.param("**/*.csv", ["day/part-1.csv", "part-0.csv"], id="folders"),
        pytest.param("**", ["day/part-1.csv", "part-0.csv"], id="folders and what is in them"),
        pytest.param("_temporary/*.csv", ["_temporary/part-2.csv"], id="a note that is named"),
        pytest.param("_*/*.csv", ["_temporary/part-2.csv"], id="whose beginning is spelled"),
        pytest.param("da*/.*", ["day/.part-1.csv.crc"], id="and a hidden one's"),
    ],
)
def test_stars_stand_for_no_notes(
    tmp_path: Path, folder: str, pattern: str, names: list[str]
) -> None:
    folder = folder.format(tmp_path)
    notes = ("_SUCCESS", ".part-0.csv.crc", "_temporary/part-2.csv", "day/.part-1.csv.crc")
    for name in ("part-0.csv", "day/part-1.csv", *notes):
        storage.write_text(f"{folder}/{name}", "url,caption\n")

    assert table_files(f"{folder}/{pattern}") == [f"{folder}/{name}" for name in names]


def test_a_name_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text(f"url,caption\n{CAT},a\n")

    for path in (tmp_path, tmp_path / "*.csv"):
        with pytest.raises(InputError, match=r"holds a file whose name is not UTF-8: '.*caf.udce9"):
            table_files(str(path))


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Return a folder with a table in a folder of its own, and one behind a link."""
    for name, url in (("table/real", CAT), ("elsewhere", DOG)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "p.csv").write_text(f"url,caption\n{url},words\n")
    (tmp_path / "table" / "inner").symlink_to("../elsewhere")
    return tmp_path / "table"


@pytest.mark.parametrize("pattern", ["", "*/p.csv", "*", "**/*.csv"])
def test_a_link_to_a_folder_is_followed(linked: Path, pattern: str) -> None:
    assert pairs(linked / pattern) == [(DOG, "words"), (CAT, "words")]


def test_a_link_that_leads_in_a_circle_is_an_error(linked: Path) -> None:
    (linked / "real" / "again").symlink_to(linked)

    with pytest.raises(InputError, match=r"real/again is a link that leads back to .*table"):
        table_files(str(linked))


@pytest.mark.parametrize("name", ["gone", "gone.csv"])
def test_a_link_that_leads_nowhere_is_an_error(linked: Path, name: str) -> None:
    (linked / "real" / name).symlink_to("../../nothing")

    with pytest.raises(InputError, match=f"real/{name} is a link that leads nowhere"):
        table_files(str(linked))


def test_json_and_text_count_where_a_folder_holds_nothing_else(tmp_path: Path) -> None:
    for name in ("README.txt", "dataset_infos.json"):
        (tmp_path / name).write_text("{}")
    assert table_files(str(tmp_path)) == [
        f"{tmp_path}/{name}" for name in ("README.txt", "dataset_infos.json")
    ]

    (tmp_path / "t.jsonl").write_text("{}")
    assert table_files(str(tmp_path)) == [f"{tmp_path}/t.jsonl"]
