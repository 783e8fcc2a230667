import errno
import fcntl
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS
from tiny_training import Corpus, spec_for, tiny_config

from openalign.errors import StageError
from openalign.files.locks import locked
from openalign.files.manifest import StageFolder, StageResult
from openalign.train.rank import TrainingSpec
from openalign.train.stage_spec import begin


def stage(root: Path | str) -> StageFolder:
    return StageFolder(str(root), "train")


def take(folder: StageFolder, *, patience_seconds: float = 0) -> None:
    with folder.locked(patience_seconds=patience_seconds):
        pass


def spec(root: Path) -> TrainingSpec:
    return spec_for(tiny_config(), Corpus([], [], ""), str(root))


def seal(spec: TrainingSpec) -> None:
    result = StageResult(num_inputs=1, states={"trained_on": 1}, num_outputs=1, files=[])
    spec.folder.seal(result, spec.inputs)


def test_a_second_run_of_a_stage_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with stage(tmp_path / "run").locked():
        with pytest.raises(StageError, match=r"another run is at work on .*/run/train: process"):
            take(stage(tmp_path / "run"))
        take(stage(tmp_path / "other"))

    take(stage(tmp_path / "run"))


def test_the_lock_of_a_stage_is_the_one_of_every_other_stage(tmp_path: Path) -> None:
    folder = stage(tmp_path)

    with (
        locked(folder.lock_url, busy="busy"),
        pytest.raises(StageError, match="is at work"),
    ):
        take(folder)


def test_runs_into_a_store_exclude_each_other_on_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with stage("memory://runs").locked():
        with pytest.raises(StageError, match="another run is at work on memory://runs/train: proc"):
            take(stage("memory://runs"))
        take(stage("memory://others"))


def test_a_run_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    with stage(tmp_path).locked():
        second = threading.Thread(
            target=take, args=(stage(tmp_path),), kwargs={"patience_seconds": 60}
        )
        second.start()
        second.join(0.2)
        assert second.is_alive()

    second.join(PATIENCE_SECONDS)
    assert not second.is_alive()


def test_a_stage_that_was_sealed_meanwhile_is_up_to_date(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The run that waits for the lock does not train again what the first one has sealed."""
    found: list[bool] = []

    def wait_and_begin() -> None:
        with ExitStack() as held:
            found.append(begin(spec(tmp_path), held))

    with stage(tmp_path).locked():
        second = threading.Thread(target=wait_and_begin)
        second.start()
        second.join(0.2)
        assert second.is_alive()
        seal(spec(tmp_path))
    second.join(PATIENCE_SECONDS)

    assert found == [False]
    assert capfd.readouterr().err == "train     up to date\n"


def test_a_rank_completes_a_swap_that_was_cut_short(tmp_path: Path) -> None:
    """The manifest was written and the folder not yet moved when rank 0 was killed."""
    seal(spec(tmp_path))
    Path(tmp_path, "train", "COMPLETE").unlink()
    Path(tmp_path, "train").rename(spec(tmp_path).output)

    with ExitStack() as held:
        assert begin(spec(tmp_path), held) is False

    assert Path(tmp_path, "train", "COMPLETE").exists()


def test_a_root_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with ExitStack() as held, pytest.raises(StageError, match="file/run cannot be written"):
        begin(spec(tmp_path / "file" / "run"), held)


def test_a_file_system_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    take(stage(tmp_path))

    assert "has no locks: see that no other run is at work there" in capfd.readouterr().err
