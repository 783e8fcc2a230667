"""Counts that are shown while a job runs: processes add to them, and a rerun begins anew."""

import subprocess
import sys
from pathlib import Path

import pytest

from openalign.engines import live_counts
from openalign.engines.live_counts import add_live, clear_live, read_live


@pytest.fixture(autouse=True)
def every_count_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_counts, "_SECONDS_BETWEEN_WRITES", 0.0)


def test_what_several_processes_counted_adds_up(tmp_path: Path) -> None:
    add = f"add_live({str(tmp_path)!r}, {{'a': 5}})"
    other = f"from openalign.engines.live_counts import add_live; {add}"
    add_live(str(tmp_path), {"a": 1, "b": 2})
    add_live(str(tmp_path), {"a": 10})
    subprocess.run([sys.executable, "-c", other], check=True)

    assert read_live(str(tmp_path)) == {"a": 16, "b": 2}


def test_an_attempt_begins_without_the_counts_of_the_one_before(tmp_path: Path) -> None:
    add_live(str(tmp_path), {"a": 1})

    clear_live(str(tmp_path))

    assert read_live(str(tmp_path)) == {}
    clear_live(str(tmp_path))  # nothing is there


def test_a_worker_that_outlives_its_job_brings_no_folder_back(tmp_path: Path) -> None:
    add_live(str(tmp_path / "work"), {"a": 1})

    assert not (tmp_path / "work").exists()


def test_a_file_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    add_live(str(tmp_path), {"a": 1})
    (tmp_path / "live" / "half.json").write_text('{"a": ')

    assert read_live(str(tmp_path)) == {"a": 1}


def test_a_remote_folder_has_no_counts() -> None:
    add_live("memory://work", {"a": 1})

    assert read_live("memory://work") == {}


def test_counts_are_written_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_counts, "_SECONDS_BETWEEN_WRITES", 3600.0)
    monkeypatch.setattr(live_counts.time, "monotonic", lambda: 5.0)  # the machine has just started
    for _ in range(3):
        add_live(str(tmp_path), {"a": 1})

    assert read_live(str(tmp_path)) == {"a": 1}


def test_what_is_taken_back_is_gone_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_live(str(tmp_path), {"a": 1, "waits": 1})
    monkeypatch.setattr(live_counts, "_SECONDS_BETWEEN_WRITES", 3600.0)

    add_live(str(tmp_path), {"waits": -1})

    assert read_live(str(tmp_path)) == {"a": 1}
