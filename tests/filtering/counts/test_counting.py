"""The sets that workers look things up in."""

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
from range_server import range_server

from openalign.engines.parts import Part, read_summary
from openalign.errors import StageError
from openalign.files import storage
from openalign.filtering.counts import counting
from openalign.filtering.counts.counting import SetNote, join_set, open_set

VALUES = [2, 3, 2**64 - 1]


def joined(folder: str, values: list[int]) -> str:
    """Join a set whose members lie in two buckets; return its URL."""
    notes = [SetNote(name="images", bucket=bucket, num_odd=0) for bucket in (1, 0)]
    for bucket, members in enumerate((values[:2], values[2:])):
        url = counting._set_url(folder, "images", bucket)
        storage.write_bytes(url, np.array(members, "<u8").tobytes())
    storage.write_text(f"{folder}/summary.jsonl", Part(notes=notes).to_json() + "\n")
    summary = read_summary(f"{folder}/summary.jsonl")
    url = storage.join(folder, "images.u64")
    assert join_set(summary, folder, "images", url).num_rows == len(values)
    return url


@pytest.mark.parametrize("values", [[], VALUES], ids=["empty", "filled"])
def test_a_remote_set_is_copied_once_a_machine(
    values: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = f"memory://{tmp_path.name}"
    url = joined(folder, values)

    first = open_set(url, work=folder, name="images", stage="filter")
    storage.remove(url)
    second = open_set(url, work=folder, name="images", stage="filter")

    assert first.tolist() == second.tolist() == values


WORKER = """
import sys
from openalign.filtering.counts.counting import open_set

url, work = sys.argv[1:]
print(open_set(url, work=work, name="images", stage="filter").tolist())
"""


def test_workers_of_a_machine_ask_for_a_set_once(tmp_path: Path) -> None:
    joined(str(tmp_path / "served"), VALUES)
    with range_server(tmp_path / "served") as server:
        command = [sys.executable, "-c", textwrap.dedent(WORKER)]
        workers = [
            subprocess.Popen(
                [*command, f"{server.url}/images.u64", server.url],
                env={"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        assert [worker.communicate()[0] for worker in workers] == [f"{VALUES}\n"] * 2
        assert [line for line in server.asked if "u64" in line] == ["/images.u64 "]


def test_a_remote_set_that_is_not_what_was_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = f"memory://{tmp_path.name}"
    url = joined(folder, VALUES)
    storage.write_bytes(url, np.array([2, 3, 4], "<u8").tobytes())

    with pytest.raises(StageError, match=r"images\.u64 is not what `filter` wrote"):
        open_set(url, work=folder, name="images", stage="filter")


def test_a_local_set_stays_where_it_is(tmp_path: Path) -> None:
    url = joined(str(tmp_path), VALUES)

    found = open_set(url, work=str(tmp_path), name="images", stage="filter")

    assert isinstance(found, np.memmap)
    assert found.filename == Path(url)
    assert found.tolist() == VALUES
