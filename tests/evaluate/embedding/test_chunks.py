import json
from pathlib import Path

import numpy as np
import pytest

from openalign.errors import InputError
from openalign.evaluate.embedding.chunks import ChunkStore, Unreadable, load_rows, write_rows
from openalign.evaluate.metrics.vectors import Vectors
from openalign.files import storage
from openalign.files.sealed import SealedFiles

A = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
B = np.array([[5.0, 6.0]], dtype=np.float32)
NONE = np.empty((0, 0), dtype=np.float32)


def three_chunks(store: ChunkStore, output: str) -> Vectors:
    """Write a file of three chunks, of which the second has no rows."""
    made = [
        store.write("how-a", A),
        store.write("how-n", NONE, [Unreadable(0, "it is broken")]),
        store.write("how-b", B, [Unreadable(1, "it is empty")]),
    ]
    return store.write_file(output, "embeddings/rows.npy", made)


def sealed(folder: str) -> SealedFiles:
    """Return a complete result with that file alone."""
    store = ChunkStore(f"{folder}/work")
    three_chunks(store, f"{folder}/result")
    return SealedFiles(f"{folder}/result", store.write_list(f"{folder}/result"))


def test_a_file_is_what_numpy_would_write_of_all_rows(tmp_path: Path) -> None:
    store = ChunkStore(str(tmp_path / "work"))

    rows = three_chunks(store, str(tmp_path / "out"))
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
    rows = three_chunks(ChunkStore(f"{folder}/work"), f"{folder}/out")

    storage.remove(f"{folder}/out")

    assert isinstance(rows.base, np.memmap)
    np.testing.assert_array_equal(rows, np.concatenate([A, B]))


@pytest.mark.parametrize("root", ["local", "memory://earlier"])
def test_an_earlier_result_gives_each_chunk_by_itself(root: str, tmp_path: Path) -> None:
    folder = str(tmp_path) if root == "local" else f"{root}/{tmp_path.name}"
    later = ChunkStore(f"{folder}/elsewhere", sealed(folder))

    assert later.damaged_files(["how"]) == []

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
    later = ChunkStore(str(tmp_path / "later"), sealed(str(tmp_path)))
    for name in ("how-a", "how-z", "other-a"):
        later.write(name, A)

    assert later.count("how") == 4  # a, n and b of the result, and z
    assert later.count("other") == 1
    assert later.count("ho") == 0


def test_an_earlier_result_without_chunks_is_of_no_use(tmp_path: Path) -> None:
    earlier = SealedFiles(str(tmp_path / "nothing"), [])

    assert ChunkStore(str(tmp_path / "work"), earlier).find("how-a") is None


def test_a_list_of_chunks_that_was_changed_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = sealed(str(tmp_path))
    listed = tmp_path / "result" / "embeddings" / "chunks.json"
    listed.write_text(listed.read_text().replace("how-a", "how-c"))

    assert ChunkStore(str(tmp_path / "later"), earlier).find("how-c") is None

    assert f"{listed} is not as it was written" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["zeros", "cut", "longer", "gone"])
def test_an_earlier_file_that_was_changed_is_told_and_not_used(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = sealed(str(tmp_path))
    rows = tmp_path / "result" / "embeddings" / "rows.npy"
    content = rows.read_bytes()
    rows.unlink()
    changed = {"zeros": content[:-8] + bytes(8), "cut": content[:-8], "longer": content + b"!"}
    if damage in changed:
        rows.write_bytes(changed[damage])
    later = ChunkStore(str(tmp_path / "later"), earlier)

    assert later.damaged_files(["other"]) == []  # of no use, so it is not read
    later.leave_out(later.damaged_files(["how", "other"]))

    assert later.find("how-a") is None
    assert later.count("how") == 0
    assert capsys.readouterr().err.count(f"{rows} is not as it was written") == 1


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        pytest.param(".npy", None, id="rows of zeros"),
        pytest.param(".json", b"\0" * 80, id="hash of zeros"),
        pytest.param(".json", b"[]", id="no hash"),
    ],
)
def test_a_chunk_of_a_killed_run_that_was_changed_is_made_anew(
    ending: str, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ChunkStore(str(tmp_path)).write("how-a", A)
    rows = tmp_path / "chunks" / "how-a.npy"
    (tmp_path / "chunks" / f"how-a{ending}").write_bytes(
        content or rows.read_bytes()[:-8] + bytes(8)
    )
    store = ChunkStore(str(tmp_path))

    assert store.find("how-a") is None
    assert f"{rows} is not as it was written" in capsys.readouterr().err
    made = store.write("how-a", A)
    assert store.find("how-a") == made
    np.testing.assert_array_equal(store.rows(made), A)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"NUMPY", b"numpy", id="another kind"),
        pytest.param(b"}", b" ", id="an open header"),
        pytest.param(b"<f4", b"<f2", id="another type"),
        pytest.param(b"(2, 2)", b"(4,  )", id="another shape"),
        pytest.param(b"(2, 2)", b"(9, 2)", id="too few rows"),
        pytest.param(b"", b"", id="gone"),
    ],
)
def test_a_file_that_holds_no_rows_is_named(old: bytes, new: bytes, tmp_path: Path) -> None:
    rows = tmp_path / "rows.npy"
    if old:
        write_rows(str(rows), A)
        rows.write_bytes(rows.read_bytes().replace(old, new))

    with pytest.raises(InputError, match=r"rows\.npy: holds no embeddings") as caught:
        load_rows(str(rows))

    assert caught.value.hint == f"remove {rows} and run `openalign evaluate` again"


def test_rows_can_be_changed_in_memory_and_not_on_disk(tmp_path: Path) -> None:
    """Libraries refuse arrays that cannot be written."""
    write_rows(str(tmp_path / "rows.npy"), A)
    rows = load_rows(str(tmp_path / "rows.npy"))

    rows[0, 0] = 9.0

    assert load_rows(str(tmp_path / "rows.npy"))[0, 0] == 1.0
