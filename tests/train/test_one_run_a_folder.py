import errno
import fcntl
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from patience import PATIENCE_SECONDS
from tiny_training import Corpus, spec_for, tiny_config

from openalign.errors import StageError
from openalign.files import leases, storage
from openalign.files.leases import Lease, LeasePace
from openalign.files.locks import locked
from openalign.files.manifest import StageFolder, StageResult
from openalign.train.rank import TrainingSpec
from openalign.train.stage_spec import begin, begin_leased
from openalign.train.work_folder import upload


def stage(root: Path | str) -> StageFolder:
    return StageFolder(str(root), "train")


def take(folder: StageFolder, *, patience_seconds: float = 0) -> None:
    with folder.locked(patience_seconds=patience_seconds):
        pass


def spec(root: Path | str) -> TrainingSpec:
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


def hold_elsewhere(folder: StageFolder, *, beats: bool) -> Lease:
    """Be a run on another machine that holds the stage's lease, and may show that it lives."""
    leases._write(folder.lease_url, held := elsewhere(token=1))

    def beat() -> None:
        for number in range(1, 1_000):
            time.sleep(0.05)
            leases._write(folder.lease_url, msgspec.structs.replace(held, beat=number))

    if beats:
        threading.Thread(target=beat, daemon=True).start()
    return held


def elsewhere(token: int) -> Lease:
    unknown = {"machine": "another", "host": "node7", "process": 12, "process_began": "3"}
    return Lease(token=token, holder="theirs", since="2021-02-11 09:00:00 UTC", **unknown)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = LeasePace(expiry_seconds=1, beat_seconds=0.2, poll_seconds=0.01, settle_seconds=0)
    monkeypatch.setattr(leases, "PACE", pace)


@pytest.mark.parametrize("url", [False, True], ids=["folder", "URL"])
@pytest.mark.usefixtures("quickly")
def test_a_run_on_another_machine_is_kept_out_while_one_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, url: bool
) -> None:
    monkeypatch.setattr(leases, "PACE", replace(leases.PACE, expiry_seconds=PATIENCE_SECONDS))
    held = spec(f"memory://{tmp_path.name}" if url else str(tmp_path))
    hold_elsewhere(held.folder, beats=True)

    words = r"another run is at work on .*/train: process 12 on node7, since 2021-02-11 09:00:00"
    with ExitStack() as stack, pytest.raises(StageError, match=words):
        begin_leased(held, stack)


@pytest.mark.usefixtures("quickly")
def test_a_run_takes_over_what_another_machine_has_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hold_elsewhere(stage(tmp_path), beats=False)

    with ExitStack() as held:
        fence = begin_leased(spec(str(tmp_path)), held)
        assert fence is not None
        assert fence.own.token == 2
    assert "train is held by process 12 on node7" in capfd.readouterr().err
    with ExitStack() as held:  # the first has given it back
        fence = begin_leased(spec(str(tmp_path)), held)
        assert fence is not None
        assert fence.own.token == 3


@pytest.mark.usefixtures("quickly")
def test_a_stage_that_another_machine_sealed_meanwhile_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_ours = spec(str(tmp_path))
    hold_elsewhere(of_ours.folder, beats=False)
    say_wait = leases._say_wait

    def seal_meanwhile(*arguments: Any) -> None:
        say_wait(*arguments)
        seal(of_ours)

    monkeypatch.setattr(leases, "_say_wait", seal_meanwhile)
    with ExitStack() as held:
        assert begin_leased(of_ours, held) is None


def test_nothing_is_written_where_a_stage_is_up_to_date(tmp_path: Path) -> None:
    seal(spec(str(tmp_path)))

    with ExitStack() as held:
        assert begin_leased(spec(str(tmp_path)), held) is None

    assert not (tmp_path / ".lease-train").exists()


def test_a_run_that_has_lost_its_lease_seals_nothing(tmp_path: Path) -> None:
    result = StageResult(num_inputs=0, states={}, num_outputs=0, files=[])
    away = spec(str(tmp_path))

    with ExitStack() as held:
        fence = begin_leased(away, held)
        assert fence is not None
        leases._write(away.folder.lease_url, elsewhere(token=fence.own.token + 1))
        with pytest.raises(StageError, match=r"no longer holds .*/train .process 12 on node7"):
            away.folder.seal(result, away.inputs, check=fence.check)
        (tmp_path / "file").write_text("of the result")
        with pytest.raises(StageError, match="publishes nothing more"):
            upload(tmp_path, "memory://lost", fence=fence)

    assert away.folder.read() is None
    assert not storage.exists(storage.join(away.output, "manifest.json"))
    assert storage.list_files("memory://lost") == []


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
