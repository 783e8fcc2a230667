import errno
import fcntl
import threading
from pathlib import Path

import pytest

from openalign.errors import StageError
from openalign.train.work_folder import LOCK_FILE, only_run


def take(work: Path, *, patience_seconds: float = 0) -> None:
    with only_run(work, patience_seconds=patience_seconds):
        pass


def test_a_second_run_in_a_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with only_run(tmp_path / "work"):
        with pytest.raises(StageError, match=r"another run trains in .*/work: process"):
            take(tmp_path / "work")
        take(tmp_path / "other")

    take(tmp_path / "work")


def test_a_run_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    with only_run(tmp_path):
        second = threading.Thread(target=take, args=(tmp_path,), kwargs={"patience_seconds": 60})
        second.start()
        second.join(0.2)
        assert second.is_alive()

    second.join(60)
    assert not second.is_alive()


def test_a_folder_that_is_gone_when_its_turn_comes_is_not_trained_in(tmp_path: Path) -> None:
    """The first run has completed the stage, and its work folder was dropped."""
    said: list[str] = []

    def wait() -> None:
        try:
            take(tmp_path, patience_seconds=60)
        except StageError as error:
            said.append(str(error))

    with only_run(tmp_path):
        second = threading.Thread(target=wait)
        second.start()
        second.join(0.2)
        (tmp_path / LOCK_FILE).unlink()
    second.join(60)

    assert said == [f"another run has completed the stage in {tmp_path} meanwhile"]


def test_a_file_system_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    take(tmp_path)

    assert "has no locks: see that no other run trains there" in capfd.readouterr().err
