"""Images that are files as candidates: beside texts in a folder, or named by a table."""

import gzip
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_images import image_bytes, ni, rows_of, states_of

from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.hashing import candidate_key
from openalign.ingest.candidates import FOUND
from openalign.ingest.sources.kinds import fingerprints
from openalign.ingest.sources.local_files import LocalFilesSource, check, own_images
from openalign.ingest.sources.own_images import local_files_reading as reading
from openalign.ingest.sources.source_files import folder_of
from openalign.ingest.sources.url_tables.found import table_files
from openalign.ingest.web.config import WebConfig

JPEGS = [image_bytes(number) for number in range(4)]


def source_of(**paths: object) -> LocalFilesSource:
    """Return a source of these paths."""
    settings: dict[str, Any] = {name: str(path) for name, path in paths.items()}
    return LocalFilesSource(**settings)


def read(**settings: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the candidates of a source and the counts of all pairs."""
    source = source_of(**settings)
    check(source)
    if source.table:
        files = table_files(source.table)
        tables = folder_of(source.table, files)
        pieces = [
            piece
            for url in files
            for piece in reading.read_table_part(url, source=source, tables=tables)
        ]
    else:
        found = reading._by_name(reading._files_of(source))
        pieces = list(reading.read_folder_part(canonical_json(found), source=source))
    return rows_of(pieces), states_of(pieces)


def write(folder: Path, **files: bytes) -> Path:
    """Write files; two underscores in a name stand for a dot, and `in_` for a folder."""
    for name, content in files.items():
        path = folder / name.replace("__", ".").replace("in_", "in/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def message(**settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        check(source_of(**settings))
    assert caught.value.hint
    return str(caught.value)


# A folder -----------------------------------------------------------------------------------------


def test_an_image_and_the_text_beside_it_are_a_candidate(tmp_path: Path) -> None:
    write(tmp_path, in_a__jpg=JPEGS[0], in_a__txt=b"a  cat\n")

    rows, states = read(path=tmp_path)

    [row] = rows
    assert row == {
        "key": candidate_key(ni(JPEGS[0]), "a cat"),
        "image_url": ni(JPEGS[0]),
        "alt_text": "a cat",
        "page_url": None,
        "found_in": "txt",
        "raw_image_url": ni(JPEGS[0]),
        "archive": None,
        "archive_offset": None,
        "page_language": None,
        "expected_sha256": hashlib.sha256(JPEGS[0]).hexdigest(),
        "carried": None,
        "locator": f"in/a.jpg#0+{len(JPEGS[0])}",
        "address_from": None,
        "text_language": None,
    }
    assert states == {"found": 1}


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "WebP", "gif", "bmp", "TIF", "tiff"])
def test_every_usual_ending_is_an_image_in_any_case(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.b.{ending}").write_bytes(JPEGS[0])
    (tmp_path / "a.b.Txt").write_bytes(b"a cat")

    rows, _ = read(path=tmp_path)

    assert [row["locator"].partition("#")[0] for row in rows] == [f"a.b.{ending}"]


def test_every_file_ends_in_one_state(tmp_path: Path) -> None:
    write(
        tmp_path,
        kept__jpg=JPEGS[0],
        kept__txt=b"kept",
        both__png=JPEGS[1],
        both__jpg=JPEGS[2],
        both__txt=b"both",
        no_text__jpg=JPEGS[3],
        no_image__txt=b"alone",
        no_image_either__json=b"{}",
        broken__jpg=JPEGS[3],
        broken__txt=b"caf\xe9",
        odd__jpg=JPEGS[3],
        odd__json=b"[1]",
        __hidden__jpg=JPEGS[3],
        __hidden__txt=b"hidden",
        table__parquet=b"not looked at",
    )

    rows, states = read(path=tmp_path)

    assert [(row["alt_text"], row["locator"].partition("#")[0]) for row in rows] == [
        ("both", "both.jpg"),
        ("both", "both.png"),
        ("kept", "kept.jpg"),
    ]
    assert states == {"no_alt_text": 1, "no_image": 2, "bad_text": 2, "found": 8}


def test_a_json_object_says_text_and_address(tmp_path: Path) -> None:
    record = {"caption": ["one", "two"], "url": "//a.example/1.jpg", "license": "CC0"}
    write(tmp_path, a__jpg=JPEGS[0], a__json=json.dumps(record).encode())

    rows, _ = read(path=tmp_path)

    assert [(row["image_url"], row["alt_text"], row["found_in"]) for row in rows] == [
        ("https://a.example/1.jpg", "one", "json"),
        ("https://a.example/1.jpg", "two", "json"),
    ]


def test_equal_files_are_one_image(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, **{f"{name}__jpg": JPEGS[0], f"{name}__txt": f"text {name}".encode()})

    rows, _ = read(path=tmp_path)

    assert [row["image_url"] for row in rows] == [ni(JPEGS[0])] * 2


def test_links_are_followed_and_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", a__jpg=JPEGS[0], a__txt=b"a cat")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")

    [row], _ = read(path=tmp_path / "set")
    assert row["locator"].startswith("link/a.jpg#")

    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    assert "is a link that leads back to" in message(path=tmp_path / "set")
    (tmp_path / "elsewhere" / "back").unlink()
    (tmp_path / "set" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    assert "is a link that leads nowhere" in message(path=tmp_path / "set")


def test_a_folder_of_an_object_store_is_read_alike(tmp_path: Path) -> None:
    write(tmp_path, in_a__jpg=JPEGS[0], in_a__txt=b"a cat")
    for name in ("in/a.jpg", "in/a.txt"):
        storage.write_bytes(f"memory://files/{name}", (tmp_path / name).read_bytes())

    assert read(path="memory://files") == read(path=tmp_path)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "texts", a__txt=b"", b__txt=b"", c__json=b"")

    assert "holds no image; it holds nothing" in message(path=tmp_path / "empty")
    assert "holds no image; it holds 2 .txt, 1 .json" in message(path=tmp_path / "texts")
    write(tmp_path / "archives", a__gz=b"", hidden__=b"")
    assert "holds no image; it holds 1 .gz, 1 .none" in message(path=tmp_path / "archives")
    assert "is not there, a folder of images is needed" in message(path=tmp_path / "no")
    assert "is a file" in message(path=tmp_path / "texts" / "a.txt")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jpg")).write_bytes(JPEGS[0])

    assert r"whose name is not UTF-8: 'caf\udce9.jpg'" in message(path=tmp_path)


def test_a_disk_that_fails_stops_the_harvest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a__jpg=JPEGS[0], a__txt=b"a cat")

    def fail(_: str) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(storage, "read_bytes", fail)
    with pytest.raises(StageError, match="cannot be read: Input/output error"):
        read(path=tmp_path)


def test_settings_must_name_images() -> None:
    with pytest.raises(ValueError, match="path must name a folder of images, or table"):
        LocalFilesSource()
    with pytest.raises(ValueError, match="caption_column must not be the path_column"):
        LocalFilesSource(path="x", path_column="caption")


# A table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_names_images_relative_to_itself(tmp_path: Path, form: str) -> None:
    write(tmp_path / "set", in_a__jpg=JPEGS[0], b__png=JPEGS[1])
    rows = [
        {"path": "in/a.jpg", "caption": "a cat", "url": "http://a.example/1.jpg"},
        {"path": "./b.png", "caption": "a dog", "url": ""},
    ]
    table = tmp_path / "set" / f"pairs.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), table)
    elif form == "jsonl":
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        cut = "," if form == "csv" else "\t"
        lines = [cut.join(rows[0]), *(cut.join(row.values()) for row in rows)]
        table.write_text("\n".join(lines))

    found, states = read(table=table)

    assert [(row["image_url"], row["alt_text"], row["locator"]) for row in found] == [
        ("http://a.example/1.jpg", "a cat", f"in/a.jpg#0+{len(JPEGS[0])}"),
        (ni(JPEGS[1]), "a dog", f"b.png#0+{len(JPEGS[1])}"),
    ]
    assert {row["found_in"] for row in found} == {"table"}
    assert states == {"found": 2}


def test_every_row_of_a_table_ends_in_one_state(tmp_path: Path) -> None:
    images = write(tmp_path / "images", in_a__jpg=JPEGS[0], b__jpg=JPEGS[1])
    write(tmp_path, outside__jpg=JPEGS[2])
    paths = [
        ("in/a.jpg", "relative", 0.5),
        (str(images / "b.jpg"), "from the root", 0.5),
        ("in/../b.jpg", "by a detour", 0.5),
        ("b.jpg", "", 0.5),
        ("gone.jpg", "gone", 0.5),
        ("../outside.jpg", "outside", 0.5),
        (str(tmp_path / "outside.jpg"), "outside", 0.5),
        ("s3://bucket/a.jpg", "elsewhere", 0.5),
        ("in", "a folder", 0.5),
        ("", "no path", 0.5),
        ("a\0.jpg", "a path that is none", 0.5),
        ("n" * 300 + ".jpg", "a long name", 0.5),
        ("gone.jpg", "not similar", 0.1),
    ]
    rows = [{"file": file, "text": text, "score": score} for file, text, score in paths]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    source = LocalFilesSource(
        path=str(images),
        table=str(tmp_path / "pairs.parquet"),
        path_column="file",
        caption_column="text",
        carry_columns=("score",),
        where=("score >= 0.5",),
    )

    check(source)
    fingerprints(
        source, WebConfig(), cache=str(tmp_path / "cache.json")
    )  # which a run asks for first
    pieces = list(reading.read_table_part(source.table, source=source, tables=""))

    assert [(row["alt_text"], row["carried"]) for row in rows_of(pieces)] == [
        ("by a detour", '{"score":0.5}'),
        ("from the root", '{"score":0.5}'),
        ("relative", '{"score":0.5}'),
    ]
    assert states_of(pieces) == {"left_out": 1, "no_alt_text": 1, "not_there": 8, "found": 13}


def test_an_odd_row_of_json_lines_costs_itself_alone(tmp_path: Path) -> None:
    write(tmp_path, a__jpg=JPEGS[0])
    paths: list[object] = ["a.jpg", ["a.jpg"], 5, "a.jpg"]
    rows = [{"path": path, "caption": f"cat {at}", "n": at} for at, path in enumerate(paths)]
    rows[3] = {"path": "a.jpg", "caption": ["cat 3", ["deep"]], "n": 3}
    rows += [{"path": "a.jpg", "caption": ["cat 4"], "n": "four"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    found, states = read(table=tmp_path / "t.jsonl")

    assert [row["alt_text"] for row in found] == ["cat 0", "cat 4"]
    assert states == {"bad_row": 2, "not_there": 1, "found": 5}


def test_a_column_that_is_missing_from_a_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("file,caption\na.jpg,a cat\n")

    said = f"{tmp_path / 'pairs.csv'} has no column `path`; it has file, caption"
    assert message(table=tmp_path / "pairs.csv") == said
    with pytest.raises(InputError) as caught:  # which a run asks for first
        fingerprints(LocalFilesSource(table=str(tmp_path / "pairs.csv")), WebConfig(), cache="")
    assert str(caught.value) == said
    assert "`harvest.source.path_column`; a table of web addresses" in str(caught.value.hint)


def test_the_folder_is_that_of_the_settings_or_the_table_s_own() -> None:
    assert own_images(LocalFilesSource(path="a/b/")).folder == "a/b"
    assert own_images(LocalFilesSource(path="a", table="t/x.csv.gz")).folder == "a"
    assert own_images(LocalFilesSource(table="t/x.csv.gz")).folder == "t"
    assert own_images(LocalFilesSource(table="t/v1.0")).folder == "t/v1.0"
    assert own_images(LocalFilesSource(table="t/*/x.csv")).folder == "t"
    assert own_images(LocalFilesSource(table="x.csv")).folder == "."


def test_of_several_tables_a_damaged_one_costs_itself_and_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", **{f"{n}__jpg": jpeg for n, jpeg in enumerate(JPEGS)})
    lines = [f"{n % 4}.jpg,words number {n * 7919}\n" for n in range(20_000)]
    table = gzip.compress(("path,caption\n" + "".join(lines)).encode(), mtime=0)
    tables = tmp_path / "tables"
    write(tables / "a", x__csv__gz=table)
    write(tables / "b", x__csv__gz=table[: len(table) // 2])
    write(tables / "c", x__csv__gz=table[:60])
    source = LocalFilesSource(path=str(folder), table=str(tables))

    check(source)
    first = fingerprints(
        source, WebConfig(), cache=str(tmp_path / "cache.json")
    )  # which a run asks for first
    pieces = [
        piece
        for url in table_files(source.table)
        for piece in reading.read_table_part(url, source=source, tables=f"{tables}/")
    ]

    found: Counter[str] = Counter()
    for piece in pieces:
        found[piece.origin] += piece.counts[FOUND]
    assert set(found) == {"a/x.csv.gz", "b/x.csv.gz", "c/x.csv.gz"}
    assert found["a/x.csv.gz"] == 20_000
    assert 6_000 < found["b/x.csv.gz"] < 14_000
    assert found["c/x.csv.gz"] == 0
    cut = "Compressed file ended before the end-of-stream marker was reached"
    assert [(file.name, file.reason) for piece in pieces for file in piece.damaged_files] == [
        ("b/x.csv.gz", f"cannot be read as csv: {cut}"),
        ("c/x.csv.gz", f"cannot be read as csv: {cut}"),
    ]
    write(tables / "b", x__csv__gz=table)
    assert fingerprints(source, WebConfig(), cache=str(tmp_path / "cache.json")) != first


def test_a_folder_that_is_none_is_named_before_its_files_are_listed(tmp_path: Path) -> None:
    write(tmp_path, a__jpg=JPEGS[0])

    for path, said in ((tmp_path / "gone", "is not there"), (tmp_path / "a.jpg", "is a file")):
        with pytest.raises(InputError, match=f"{path} {said}, a folder of images is needed"):
            fingerprints(source_of(path=path), WebConfig(), cache="")


# The fingerprint ----------------------------------------------------------------------------------


def test_the_fingerprint_is_of_names_and_contents_and_not_of_the_place(tmp_path: Path) -> None:
    for name in ("here", "there"):
        folder = write(tmp_path / name, in_a__jpg=JPEGS[0], in_a__txt=b"a cat", b__jpg=JPEGS[1])
        (folder / "pairs.csv").write_text("path,caption\nin/a.jpg,a cat\ngone.jpg,gone\n")

    def of(**settings: Any) -> dict[str, str]:
        return fingerprints(source_of(**settings), WebConfig(), cache=str(tmp_path / "cache.json"))

    here, there = tmp_path / "here", tmp_path / "there"
    folder, table = of(path=here), of(table=here / "pairs.csv")
    assert of(path=there) == folder != table == of(table=there / "pairs.csv")

    (there / "b.jpg").write_bytes(JPEGS[2])  # no row of the table names it
    assert of(path=there) != folder
    assert of(table=there / "pairs.csv") == table
    (there / "gone.jpg").write_bytes(JPEGS[3])
    assert of(table=there / "pairs.csv") != table
    (there / "in" / "a.txt").write_bytes(b"a dog")
    (there / "gone.jpg").unlink()
    assert of(table=there / "pairs.csv") == table
