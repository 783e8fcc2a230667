import json
from pathlib import Path

import numpy as np
import pytest

from openalign.errors import InputError
from openalign.evaluate.embedding.chunks import ChunkStore, Unreadable, load_rows, write_rows
from openalign.evaluate.metrics.vectors import Vectors
from openalign.files import storage

A = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
B = np.array([[5.0, 6.0]], dtype=np.float32)
NONE = np.empty((0, 0), dtype=np.float32)


def sealed(store: ChunkStore, output: str) -> Vectors:
    """Write a file of three chunks, of which the second has no rows."""
    made = [
        store.write("how-a", A),
        store.write("how-n", NONE, [Unreadable(0, "it is broken")]),
        store.write("how-b", B, [Unreadable(1, "it is empty")]),
    ]
    return store.write_file(output, "embeddings/rows.npy", made)


def test_a_file_is_what_numpy_would_write_of_all_rows(tmp_path: Path) -> None:
    store = ChunkStore(str(tmp_path / "work"))

    rows = sealed(store, str(tmp_path / "out"))
    records = store.write_list(str(tmp_path / "out"))

    expected = np.concatenate([A, B])
    np.testing.assert_array_equal(rows, expected)
    write_rows(str(tmp_path / "expected.npy"), expected)
    written = tmp_path / "out" / "embeddings" / "rows.npy"
    assert written.read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert [(r.name, r.num_rows) for r in records] == [
        ("embeddings/rows.npy", 3),
        ("embeddings/chunks.json", 1),
    ]
    assert records[0].sha256 == storage.sha256_of(str(written))
    assert json.loads((tmp_path / "out" / "embeddings" / "chunks.json").read_text()) == {
        "embeddings/rows.npy": [
            ["how-a", 0, 2, []],
            ["how-n", 2, 2, [[0, "it is broken"]]],
            ["how-b", 2, 3, [[1, "it is empty"]]],
        ]
    }


@pytest.mark.parametrize("root", ["local", "memory://rows"])
def test_rows_are_mapped_from_disk_wherever_the_file_goes(root: str, tmp_path: Path) -> None:
    """They stay when the file has moved, as the stage's folder does in the end."""
    folder = str(tmp_path) if root == "local" else f"{root}/{tmp_path.name}"
    rows = sealed(ChunkStore(f"{folder}/work"), f"{folder}/out")

    storage.remove(f"{folder}/out")

    assert isinstance(rows.base, np.memmap)
    np.testing.assert_array_equal(rows, np.concatenate([A, B]))


@pytest.mark.parametrize("root", ["local", "memory://earlier"])
def test_an_earlier_result_gives_each_chunk_by_itself(root: str, tmp_path: Path) -> None:
    folder = str(tmp_path) if root == "local" else f"{root}/{tmp_path.name}"
    store = ChunkStore(f"{folder}/work")
    sealed(store, f"{folder}/result")
    store.write_list(f"{folder}/result")

    later = ChunkStore(f"{folder}/elsewhere", f"{folder}/result")

    found = later.find("how-b")
    assert found is not None
    assert found.unreadable == (Unreadable(1, "it is empty"),)
    np.testing.assert_array_equal(later.rows(found), B)
    assert later.find("how-c") is None


def test_a_chunk_is_found_with_what_could_not_be_decoded(tmp_path: Path) -> None:
    made = ChunkStore(str(tmp_path)).write("how-a", A, [Unreadable(7, "it is broken")])

    assert ChunkStore(str(tmp_path)).find("how-a") == made
    assert made.num_rows == 2
    assert made.content_hash == "a"


def test_chunks_that_were_made_alike_are_counted_once(tmp_path: Path) -> None:
    store = ChunkStore(str(tmp_path / "work"))
    sealed(store, str(tmp_path / "result"))
    store.write_list(str(tmp_path / "result"))
    later = ChunkStore(str(tmp_path / "later"), str(tmp_path / "result"))
    for name in ("how-a", "how-z", "other-a"):
        later.write(name, A)

    assert later.count("how") == 4  # a, n and b of the result, and z
    assert later.count("other") == 1
    assert later.count("ho") == 0


def test_an_earlier_result_without_chunks_is_of_no_use(tmp_path: Path) -> None:
    assert ChunkStore(str(tmp_path / "work"), str(tmp_path / "nothing")).find("how-a") is None


def test_a_list_of_chunks_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "chunks.json").write_text('{"rows.npy": 1}')

    with pytest.raises(InputError, match=r"chunks\.json: is not a list of chunks") as caught:
        ChunkStore(str(tmp_path / "work"), str(tmp_path))

    assert caught.value.hint == "remove the file to embed anew"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "cannot be read: there is no such file", id="gone"),
        pytest.param(b"no rows", ": holds no embeddings", id="of another kind"),
    ],
)
def test_an_earlier_file_that_is_broken_is_named(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    store = ChunkStore(str(tmp_path / "work"))
    sealed(store, str(tmp_path / "result"))
    store.write_list(str(tmp_path / "result"))
    rows = tmp_path / "result" / "embeddings" / "rows.npy"
    rows.unlink() if content is None else rows.write_bytes(content)
    later = ChunkStore(str(tmp_path / "elsewhere"), str(tmp_path / "result"))
    found = later.find("how-a")
    assert found is not None

    with pytest.raises(InputError, match=rf"rows\.npy ?{problem}"):
        later.rows(found)
    with pytest.raises(InputError, match=r"rows\.npy: holds no embeddings"):
        load_rows(str(rows))


def test_rows_can_be_changed_in_memory_and_not_on_disk(tmp_path: Path) -> None:
    """Libraries refuse arrays that cannot be written."""
    write_rows(str(tmp_path / "rows.npy"), A)
    rows = load_rows(str(tmp_path / "rows.npy"))

    rows[0, 0] = 9.0

    assert load_rows(str(tmp_path / "rows.npy"))[0, 0] == 1.0
