import pickle
import tarfile
from pathlib import Path

import duckdb
import pytest
import webdataset

from openalign.schemas import INDEX
from openalign.shards import Sample, ShardReader, index_name, read_table, write_shard

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


def test_a_reader_can_be_handed_to_another_process(tmp_path: Path) -> None:
    write_shard(str(tmp_path), "s.tar", SAMPLES)
    reader = ShardReader(str(tmp_path))
    reader.read("s.tar", 512, 5)

    copy = pickle.loads(pickle.dumps(reader))
    reader.close()

    assert copy.read("s.tar", 512, 5) == b"first"
    copy.close()


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_shard(str(tmp_path / "a"), "s.tar", SAMPLES)
    second = write_shard(str(tmp_path / "b"), "s.tar", SAMPLES)

    assert first == second
    with tarfile.open(tmp_path / "a" / "s.tar") as tar:
        assert {(member.mtime, member.uid, member.gid) for member in tar} == {(0, 0, 0)}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its open file
def test_webdataset_reads_the_tar_and_duckdb_the_index(tmp_path: Path) -> None:
    write_shard(str(tmp_path), "s.tar", SAMPLES)

    samples = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))
    names = duckdb.sql(
        f"select member, count(*) from '{tmp_path / index_name('s.tar')}' group by 1 order by 1"
    ).fetchall()

    assert [(s["__key__"], s["jpg"], s["txt"]) for s in samples] == [
        ("aa", b"first", b"one two"),
        ("bb", b"second" * 200, b"three"),
    ]
    assert names == [("jpg", 2), ("json", 2), ("txt", 2)]
