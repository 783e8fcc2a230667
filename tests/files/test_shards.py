import os
import pickle
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from patience import PATIENCE_SECONDS

from openalign.errors import InputError
from openalign.files.names import index_name
from openalign.files.schemas import INDEX
from openalign.files.shards import Sample, ShardReader, write_shard
from openalign.files.tables import open_table, read_table, write_table

SAMPLES = [
    Sample("aa", {"jpg": b"first", "txt": b"one two", "json": b"{}"}),
    Sample("bb", {"jpg": b"second" * 200, "txt": b"three", "json": b"{}"}),
]


def test_the_index_points_at_each_members_content(tmp_path: Path) -> None:
    tar, index = write_shard(str(tmp_path), "shard-00000-00000.tar", SAMPLES)

    table = read_table(str(tmp_path / index.name))
    reader = ShardReader(str(tmp_path))
    read = [
        reader.read(tar.name, row["offset"], row["length"])
        for row in table.to_pylist()
        if row["member"] == "jpg"
    ]
    reader.close()

    assert table.schema.equals(INDEX, check_metadata=True)
    assert read == [b"first", b"second" * 200]
    assert (tar.num_rows, index.num_rows) == (2, 6)


def test_a_reader_reads_object_stores_too() -> None:
    write_shard("memory://shards", "s.tar", SAMPLES)
    offsets = read_table("memory://shards/s.index.parquet").to_pylist()

    reader = ShardReader("memory://shards")

    assert reader.read("s.tar", offsets[1]["offset"], offsets[1]["length"]) == b"one two"


def test_a_name_with_a_place_in_front_is_read_there(tmp_path: Path) -> None:
    for folder in ("own", "theirs", "theirs/deep"):
        write_shard(str(tmp_path / folder), "s.tar", [Sample("aa", {"jpg": folder.encode()})])
    write_shard("memory://theirs", "s.tar", [Sample("aa", {"jpg": b"remote"})])
    places = {"source": str(tmp_path / "theirs"), "store": "memory://theirs"}
    reader = ShardReader(str(tmp_path / "own"), places=places)
    copy = pickle.loads(pickle.dumps(reader))

    for each in (reader, copy):
        assert each.read("s.tar", 512, 3) == b"own"
        assert each.read("source/s.tar", 512, 6) == b"theirs"
        assert each.read("source/deep/s.tar", 512, 11) == b"theirs/deep"
        assert each.read("store/s.tar", 512, 6) == b"remote"
        each.close()


@pytest.mark.parametrize("shard", ["gone.tar", "source/gone.tar", "store/gone.tar", "a.tar/b.tar"])
def test_a_shard_that_is_not_there_is_named(tmp_path: Path, shard: str) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    reader = ShardReader(
        str(tmp_path), places={"source": str(tmp_path / "x"), "store": "memory://x"}
    )

    with pytest.raises(InputError, match=r"\.tar cannot be read"):
        reader.read(shard, 0, 1)


def test_a_reader_can_be_handed_to_another_process(tmp_path: Path) -> None:
    write_shard(str(tmp_path), "s.tar", SAMPLES)
    reader = ShardReader(str(tmp_path))
    reader.read("s.tar", 512, 5)

    copy = pickle.loads(pickle.dumps(reader))
    reader.close()

    assert copy.read("s.tar", 512, 5) == b"first"
    copy.close()


def open_files(folder: Path) -> list[str]:
    """Return the names of a folder's files that this process has open, once a descriptor."""
    links = [*Path("/proc/self/fd").iterdir()]
    targets = [link.readlink() for link in links if link.is_symlink()]
    return sorted(target.name for target in targets if target.parent == folder)


def write_small_shards(folder: Path, count: int) -> None:
    """Write `s0.tar` and so on; at 512 each holds one byte, its number."""
    for number in range(count):
        write_shard(str(folder), f"s{number}.tar", [Sample("aa", {"jpg": bytes([number])})])


def test_only_the_shards_that_were_read_last_stay_open(tmp_path: Path) -> None:
    write_small_shards(tmp_path, 4)
    reader = ShardReader(str(tmp_path), max_open=2)

    read = [reader.read(f"s{number}.tar", 512, 1) for number in (0, 1, 2, 1, 3)]
    stayed = open_files(tmp_path)
    again = pickle.loads(pickle.dumps(reader))
    read += [again.read(f"s{number}.tar", 512, 1) for number in (0, 1, 2)]
    reader.close()

    assert read == [b"\0", b"\1", b"\2", b"\1", b"\3", b"\0", b"\1", b"\2"]
    assert stayed == ["s1.tar", "s3.tar"]
    assert open_files(tmp_path) == ["s1.tar", "s2.tar"]  # the copy has the same bound
    again.close()
    assert open_files(tmp_path) == []


def test_threads_open_a_shard_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_shards(tmp_path, 1)
    reader = ShardReader(str(tmp_path))
    really_open = os.open

    def slowly(path: Path, flags: int) -> int:
        time.sleep(0.05)
        return really_open(path, flags)

    monkeypatch.setattr(os, "open", slowly)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: reader.read("s0.tar", 512, 1), range(4))) == [b"\0"] * 4
    monkeypatch.undo()

    assert open_files(tmp_path) == ["s0.tar"]
    reader.close()


def test_a_shard_that_is_closed_during_a_read_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system gives the next file the number of the one that was closed."""
    write_small_shards(tmp_path, 2)
    reader = ShardReader(str(tmp_path), max_open=1)
    really_read = os.pread
    begun, closed = threading.Event(), threading.Event()

    def after_the_other(descriptor: int, length: int, offset: int) -> bytes:
        begun.set()
        assert closed.wait(PATIENCE_SECONDS)
        return really_read(descriptor, length, offset)

    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(os, "pread", after_the_other)
        first = threads.submit(reader.read, "s0.tar", 512, 1)
        assert begun.wait(PATIENCE_SECONDS)
        monkeypatch.undo()
        assert reader.read("s1.tar", 512, 1) == b"\1"
        closed.set()

        assert first.result() == b"\0"
    reader.close()


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_shard(str(tmp_path / "a"), "s.tar", SAMPLES)
    second = write_shard(str(tmp_path / "b"), "s.tar", SAMPLES)

    assert first == second
    with tarfile.open(tmp_path / "a" / "s.tar") as tar:
        assert {(member.mtime, member.uid, member.gid) for member in tar} == {(0, 0, 0)}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its open file
def test_webdataset_reads_the_tar_and_duckdb_the_index(tmp_path: Path) -> None:
    write_shard(str(tmp_path), "s.tar", SAMPLES)

    samples = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))  # pyright: ignore[reportAttributeAccessIssue]
    names = duckdb.sql(
        f"select member, count(*) from '{tmp_path / index_name('s.tar')}' group by 1 order by 1"
    ).fetchall()  # pyright: ignore[reportOptionalMemberAccess]

    assert [(s["__key__"], s["jpg"], s["txt"]) for s in samples] == [
        ("aa", b"first", b"one two"),
        ("bb", b"second" * 200, b"three"),
    ]
    assert names == [("jpg", 2), ("json", 2), ("txt", 2)]


def test_the_cut_of_the_batches_does_not_show_in_a_tables_bytes(tmp_path: Path) -> None:
    numbers = range(150_000)
    table = pa.table(
        {
            "sha256": [f"{n:064x}" for n in numbers],  # outgrows its dictionary
            "page_language": ["en" if n % 3 else None for n in numbers],
            "width_px": [n % 7 if n % 5 else None for n in numbers],
        }
    )

    for rows in (65_536, 1_000):
        with open_table(str(tmp_path), f"{rows}.parquet", table.schema) as writer:
            for batch in table.to_batches(rows):
                writer.write(batch)
    chunked = pa.Table.from_batches(table.to_batches(1_000))
    write_table(str(tmp_path), "whole.parquet", table)
    write_table(str(tmp_path), "chunked.parquet", chunked)

    content = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert content["65536"] == content["1000"]
    assert content["whole"] == content["chunked"]
    assert read_table(str(tmp_path / "1000.parquet")).equals(table)


def test_columns_of_distinct_values_have_no_dictionary(tmp_path: Path) -> None:
    table = pa.table({"key": ["a", "b"], "found_in": ["img_alt", "img_alt"]})
    write_table(str(tmp_path), "t.parquet", table)

    row_group = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0)
    has_dictionary = [row_group.column(n).has_dictionary_page for n in range(2)]
    assert has_dictionary == [False, True]
