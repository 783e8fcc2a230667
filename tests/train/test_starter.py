"""The process that starts the ranks of a training: what it passes on, and how it ends them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import failing_ranks
import pytest
import run_checks
import tiny_training
from patience import PATIENCE_SECONDS, wait_for
from tiny_training import Corpus, make_corpus, spec_for, tiny_config

from openalign.files.manifest import StageFolder, StageInputs
from openalign.train import launch, stage_spec
from openalign.train.config import Duration
from openalign.train.stage_spec import StageSpec, write_spec
from openalign.train.stopping import Stopping

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

NO_INPUTS = StageInputs(settings={}, contents={})
_UNHURRIED = Stopping(grace_seconds=20)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def test_ranks_see_the_gpus_that_their_starter_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """DeepSpeed's launcher would give its first rank GPU 0, and say that it ignores the choice."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    seen = tmp_path / "seen"
    job = write_job(tmp_path, (tiny_training.write_device, (str(seen),)))

    launch_ranks(tmp_path, job, num_processes=1)

    assert seen.read_text() == "cpu, of -1"
    assert "ignoring" not in capfd.readouterr().err


def test_what_ranks_end_with_is_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = write_job(tmp_path, (tiny_training.end_with_a_mistake, ("photos/1.jpg",)))

    with pytest.raises(launch.StageError) as caught:
        launch_ranks(tmp_path, job, num_processes=2)

    assert str(caught.value) == "photos/1.jpg is gone"
    assert caught.value.hint == "put it there"
    said = capfd.readouterr().err
    assert "train     looks" in said
    assert "is gone" not in said
    assert "exits with return code" not in said


def test_every_fault_that_an_error_lists_is_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, spec = tmp_path / "checkpoints", str(tmp_path / "spec.json")
    for name in ("step-00000400", "step-00000600"):
        (folder / name).mkdir(parents=True)
        (folder / name / "checkpoint.json").touch()
    write_spec(spec, StageSpec(root="", stage="train", inputs=NO_INPUTS))
    job = write_job(tmp_path, (failing_ranks.find_newest, (str(folder), spec)))

    with pytest.raises(launch.StageError) as caught:
        launch_ranks(tmp_path, job, num_processes=2)

    first, *faults = str(caught.value).splitlines()
    assert first == "there are checkpoints, and none can be used:"
    assert [fault.partition(": ")[0] for fault in faults] == [
        f"  {folder}/step-00000600",
        f"  {folder}/step-00000400",
    ]
    assert caught.value.hint == f"put back what they lack, or remove {folder} to start over"
    assert str(folder) not in capfd.readouterr().err


def test_further_lines_of_an_error_are_of_it_however_they_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage_spec, "end_with_starter", lambda: None)
    spec = str(tmp_path / "spec.json")
    write_spec(spec, StageSpec(root="", stage="train", inputs=NO_INPUTS))

    def fail(_: StageSpec) -> None:
        raise launch.StageError("the model:\nodd sizes\n\n\t8 heads", hint="mend:\nits sizes")

    assert stage_spec.main_of_rank([spec], StageSpec, fail) == 2
    said = launch._Messages()
    for line in [*capsys.readouterr().err.splitlines(keepends=True), "the next\n"]:
        said.take(line)

    error = said.error_of(2)
    assert str(error) == "the model:\n  odd sizes\n\n\t8 heads"
    assert error.hint == "mend:\n  its sizes"
    assert capsys.readouterr().err == "the next\n"


def test_more_of_an_error_than_was_let_go_is_passed_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = launch._Messages()
    said.take("error: two checkpoints are damaged:\n")
    said.let_go()
    said.take("  step 3\n")

    assert capsys.readouterr().err == "error: two checkpoints are damaged:\n  step 3\n"


def test_what_a_rank_hangs_in_is_told_at_the_end_and_its_stack_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = write_job(tmp_path, (failing_ranks.hang_alone, ()))

    with pytest.raises(launch.StageError) as caught:
        launch_ranks(tmp_path, job, num_processes=1)

    said = r"no rank has got on for \d+ s\n  all of them: computes at step 2"
    assert re.fullmatch(said, str(caught.value))
    assert caught.value.hint == "`train.hang_minutes` is how long a step may take"
    stack = capfd.readouterr().err.partition("rank 0 is in:\n")[2]
    assert "in hang_alone" in stack


def test_what_ranks_fail_with_is_passed_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(launch.StageError, match="with code 1; its last messages stand above"):
        launch_ranks(tmp_path, "no-such-job", num_processes=1)
    assert "No such file or directory: 'no-such-job'" in capfd.readouterr().err


def test_a_rank_that_was_killed_is_told_of(tmp_path: Path) -> None:
    job = write_job(tmp_path, (tiny_training.end_killed, ()))

    with pytest.raises(launch.StageError, match="a rank was killed by SIGKILL") as caught:
        launch_ranks(tmp_path, job, num_processes=1)
    assert "when memory runs out" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, -signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    ],
)
def test_a_starter_that_is_stopped_leaves_no_rank(tmp_path: Path, number: int, code: int) -> None:
    with started(tmp_path, (tiny_training.sleep, (str(tmp_path),))) as (starter, pids):
        starter.send_signal(number)

        assert starter.wait(PATIENCE_SECONDS) == code
        assert not any(_runs(pid) for pid in pids)


def test_a_training_that_is_interrupted_saves_and_says_so_alone(
    corpus: Corpus, tmp_path: Path
) -> None:
    config = replace(tiny_config(), duration=Duration(steps=1_000_000))
    job = (run_checks.train_silently, (config, corpus, str(tmp_path)))
    with started(tmp_path, job) as (starter, pids):
        partial = Path(spec_for(config, corpus, str(tmp_path)).output)
        wait_for((partial / "metrics.jsonl").exists, "a first step")

        starter.send_signal(signal.SIGINT)

        assert starter.wait(PATIENCE_SECONDS) == 128 + signal.SIGINT
        assert not any(_runs(pid) for pid in pids)
    assert list((partial / "checkpoints").glob("*"))
    said = (tmp_path / "said.txt").read_text()
    assert said.count("train     stops once it has saved a checkpoint") == 1
    assert "KeyboardInterrupt" not in said


def test_ranks_that_do_not_save_in_time_are_killed_and_it_is_said(tmp_path: Path) -> None:
    job = (tiny_training.be_deaf, (str(tmp_path),))
    with started(tmp_path, job, stop=Stopping(grace_seconds=0.5)) as (starter, pids):
        starter.send_signal(signal.SIGTERM)

        assert starter.wait(PATIENCE_SECONDS) == 143
        assert not any(_runs(pid) for pid in pids)
    said = (tmp_path / "said.txt").read_text()
    assert (
        "train     is killed: its ranks have not ended within 0.5 s (`train.stop.grace_seconds`)"
        in said
    )


def test_sigusr1_gives_ranks_the_lead_to_save_in(tmp_path: Path) -> None:
    """They take 2 s, and the grace of a SIGTERM is 0.1 s."""
    stop = Stopping(grace_seconds=0.1, lead_seconds=PATIENCE_SECONDS)
    job = (tiny_training.save_slowly, (str(tmp_path), 2.0))
    with started(tmp_path, job, stop=stop) as (starter, _):
        starter.send_signal(signal.SIGUSR1)

        assert starter.wait(PATIENCE_SECONDS) == 143
    assert len(list(tmp_path.glob("*.saved"))) == 1  # one is told, and tells no other here
    assert "is killed" not in (tmp_path / "said.txt").read_text()


@pytest.mark.parametrize(
    ("stop", "numbers", "said"),
    [
        pytest.param(
            Stopping(grace_seconds=PATIENCE_SECONDS, lead_seconds=0.5),
            [signal.SIGUSR1],
            "within 0.5 s (`train.stop.lead_seconds`)",
            id="the lead is over",
        ),
        pytest.param(
            Stopping(grace_seconds=0.5, lead_seconds=PATIENCE_SECONDS),
            [signal.SIGUSR1, signal.SIGTERM],
            "within 0.5 s (`train.stop.grace_seconds`)",
            id="SIGTERM comes in the lead",
        ),
    ],
)
def test_the_lead_ends(
    tmp_path: Path, stop: Stopping, numbers: Sequence[signal.Signals], said: str
) -> None:
    job = (tiny_training.be_deaf, (str(tmp_path),))
    with started(tmp_path, job, stop=stop) as (starter, pids):
        for number in numbers:
            starter.send_signal(number)
            wait_for(lambda: "stops once" in (tmp_path / "said.txt").read_text(), "the first")

        assert starter.wait(PATIENCE_SECONDS) == 143
        assert not any(_runs(pid) for pid in pids)
    killed = f"is killed: its ranks have not ended {said}"
    assert killed in (tmp_path / "said.txt").read_text()


def test_a_starter_that_is_killed_leaves_no_rank(corpus: Corpus, tmp_path: Path) -> None:
    """And while its ranks trained, nobody else could be at work on the stage."""
    config = replace(tiny_config(), duration=Duration(steps=1_000_000))
    job = (run_checks.train_silently, (config, corpus, str(tmp_path)))
    with started(tmp_path, job) as (starter, pids):
        partial = Path(spec_for(config, corpus, str(tmp_path)).output)
        wait_for((partial / "metrics.jsonl").exists, "a first step")
        with pytest.raises(launch.StageError, match=f"is at work on {tmp_path}/train: process"):
            take(tmp_path, patience_seconds=0)

        starter.kill()
        starter.wait(PATIENCE_SECONDS)

        wait_for(lambda: not any(_runs(pid) for pid in pids), "the end of the ranks")
    take(tmp_path, patience_seconds=60)  # the last of its threads may still hold it


def write_job(folder: Path, job: Any) -> str:
    path = folder / "job.pkl"
    path.write_bytes(tiny_training.pickle.dumps(job))
    return str(path)


def launch_ranks(folder: Path, job: str, *, num_processes: int) -> None:
    launch.launch(
        [job],
        num_processes=num_processes,
        folders=[str(folder)],
        stop=Stopping(grace_seconds=20),
        environment=tiny_training.rank_environment(),
        module="tiny_training",
    )


@contextmanager
def started(
    folder: Path, job: Any, *, stop: Stopping = _UNHURRIED
) -> Generator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Launch two ranks from a process of its own; each notes its number in `folder`."""
    path = write_job(folder, job)
    code = (
        "import polars;"  # as the stages before have: it takes SIGINT
        "from openalign.train.launch import Stopping, launch;"
        f"launch([{path!r}], num_processes=2, folders=[{str(folder)!r}],"
        f" stop={stop!r},"
        " module='tiny_training')"
    )
    with (folder / "said.txt").open("wb") as said:
        starter = subprocess.Popen(
            [sys.executable, "-c", code], env=tiny_training.rank_environment(), stderr=said
        )
    wait_for(
        lambda: starter.poll() is not None or len(list(folder.glob("*.pid"))) == 2,
        "the start of two ranks",
    )
    assert starter.poll() is None
    pids = [int(path.stem) for path in folder.glob("*.pid")]
    try:
        yield starter, pids
    finally:
        for pid in filter(_runs, pids):  # where the test has failed
            os.kill(pid, signal.SIGKILL)
        starter.kill()
        starter.wait(PATIENCE_SECONDS)


def take(root: Path, *, patience_seconds: float) -> None:
    with StageFolder(str(root), "train").locked(patience_seconds=patience_seconds):
        pass


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended but that nobody has waited for still has a number.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
