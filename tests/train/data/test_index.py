import os
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.schemas import TRAINING
from openalign.files.training_index import write_training_index
from openalign.train.data.index import ImagePlace, TrainingIndex
from openalign.train.data.index_copies import IndexFile, paths_on_this_machine

from tiny_training import Corpus, make_corpus  # isort: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def test_rows_are_those_of_the_manifest_in_the_order_asked_for(corpus: Corpus) -> None:
    index = corpus.mapped()
    table = corpus.table().to_pylist()
    rows = np.array([63, 0, 40, 31, 32, 0, 17])
    wanted = [table[row] for row in rows]

    assert index.alt_texts(rows) == [pair["alt_text"] for pair in wanted]
    assert index.keys(rows) == [pair["key"] for pair in wanted]
    assert index.places(rows) == [
        ImagePlace(pair["shard"], pair["offset"], pair["length"], pair["xxh3"]) for pair in wanted
    ]
    # 16 images are in the first file, whose 32 rows come first.
    in_file = [
        pair["image"] + (16 if row >= 32 else 0) for row, pair in zip(rows, wanted, strict=True)
    ]
    assert index.images(rows).tolist() == in_file
    assert (len(index), index.num_images) == (64, 32)


def test_no_rows_are_nothing(corpus: Corpus) -> None:
    none = np.array([], dtype=np.int64)

    assert corpus.mapped().keys(none) == []
    assert corpus.mapped().images(none).tolist() == []


def test_an_empty_index_stops_the_run(tmp_path: Path) -> None:
    name = "training-00000-of-00001.parquet"
    written = write_training_index(str(tmp_path), name, TRAINING.empty_table())

    for paths in ([tmp_path / written.name], []):
        with pytest.raises(StageError, match="nothing to train on"):
            TrainingIndex(paths)


def in_a_store(corpus: Corpus, folder: str) -> list[IndexFile]:
    """Put the index into a store that is no local folder."""
    found: list[IndexFile] = []
    for file in corpus.index:
        url = storage.join(folder, file.url.rpartition("/")[2])
        storage.write_bytes(url, storage.read_bytes(file.url))
        found.append(IndexFile(url=url, num_bytes=file.num_bytes, sha256=file.sha256))
    return found


def test_remote_files_are_copied_once(corpus: Corpus, tmp_path: Path) -> None:
    files = in_a_store(corpus, "memory://copied-once")

    first = paths_on_this_machine(files, cache=tmp_path)
    fsspec.filesystem("memory").rm("/copied-once", recursive=True)
    again = paths_on_this_machine(files, cache=tmp_path)

    assert first == again == [tmp_path / file.sha256 for file in files]
    assert [path.read_bytes() for path in first] == [
        storage.read_bytes(file.url) for file in corpus.index
    ]


def test_copies_that_nobody_has_used_for_a_week_go_when_another_is_made(
    corpus: Corpus, tmp_path: Path
) -> None:
    first, second = in_a_store(corpus, "memory://in-turn")
    [old] = paths_on_this_machine([first], cache=tmp_path)
    week_ago = time.time() - 7 * 24 * 3600
    os.utime(old, (week_ago + 600, week_ago + 600))
    paths_on_this_machine([second], cache=tmp_path)
    assert old.exists()
    (tmp_path / second.sha256).unlink()
    os.utime(old, (week_ago - 600, week_ago - 600))

    paths_on_this_machine([second], cache=tmp_path)

    assert not old.exists()


def test_a_damaged_copy_is_refused_and_not_kept(corpus: Corpus, tmp_path: Path) -> None:
    files = in_a_store(corpus, "memory://damaged")
    content = bytearray(storage.read_bytes(files[1].url))
    content[len(content) // 2] ^= 1
    storage.write_bytes(files[1].url, bytes(content))

    with pytest.raises(
        StageError, match=r"memory://damaged/index-00001-of-00002\.arrow is not what"
    ):
        paths_on_this_machine(files, cache=tmp_path)
    assert [path.name for path in tmp_path.glob("?" * 64)] == [files[0].sha256]


def test_a_local_file_of_another_length_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "index.arrow"
    path.write_bytes(b"short")
    file = IndexFile(url=str(path), num_bytes=9, sha256="")

    with pytest.raises(StageError, match=r"index\.arrow has 5 bytes, and `select` wrote 9"):
        paths_on_this_machine([file])
    with pytest.raises(StageError, match=r"nowhere has no bytes, and `select` wrote 9"):
        paths_on_this_machine([IndexFile(url=str(tmp_path / "nowhere"), num_bytes=9, sha256="")])


def test_a_copy_without_room_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    [file, _] = in_a_store(corpus, "memory://large")
    huge = IndexFile(url=file.url, num_bytes=1 << 60, sha256=file.sha256)

    with pytest.raises(StageError, match=r"has room for [0-9,]+ bytes, and the copy of"):
        paths_on_this_machine([huge], cache=tmp_path)
