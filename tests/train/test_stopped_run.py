"""A run that is asked to stop saves a checkpoint behind its step; going on changes no byte."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import run_checks
import tiny_training
from patience import PATIENCE_SECONDS, wait_for
from tiny_training import (
    Corpus,
    Duration,
    finish,
    make_corpus,
    make_run,
    rank_environment,
    start_ranks,
    tiny_config,
)

from openalign.telemetry import read_json_lines
from openalign.train.stopping import STOPPED, Stopping
from openalign.train.updates import Ema

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


def command(pipelines: Path) -> list[str]:
    return [sys.executable, "-m", "openalign", "train", "tiny", "--config", str(pipelines)]


def stop_after_first_step(pipelines: Path, number: signal.Signals) -> str:
    """Start a training, send its starter a signal, and return what it said."""
    process = subprocess.Popen(
        command(pipelines), env=rank_environment(), stderr=subprocess.PIPE, text=True
    )
    partial = pipelines.parent / "run"
    wait_for(
        lambda: process.poll() is not None or any(partial.glob("*/metrics.jsonl")), "a first step"
    )
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    assert process.returncode == STOPPED, said
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_stopped_goes_on_behind_its_last_step(
    tmp_path: Path, number: signal.Signals
) -> None:
    config = tiny_config(
        num_processes=1 + (number == signal.SIGTERM),
        duration=Duration(steps=60),
        block_size=8,
        checkpoint_every_steps=1000,  # so that what it goes on from was saved for the signal
        stop=Stopping(grace_seconds=PATIENCE_SECONDS, lead_seconds=PATIENCE_SECONDS),
    )
    if number == signal.SIGUSR1:  # no statistics move, and averages are what is exported
        config = replace(config, frozen=("image_tower",), ema=Ema(decay=0.9), export="ema")
    stopped = make_run(tmp_path / "stopped", config)
    undisturbed = make_run(tmp_path / "undisturbed", replace(config, stop=Stopping()))

    said = stop_after_first_step(stopped, number)
    assert "stopped behind step" in said
    for pipelines in (stopped, undisturbed):
        done = subprocess.run(
            command(pipelines), env=rank_environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    one, two = (path.parent / "run" / "train" for path in (stopped, undisturbed))
    starts = [line for line in read_json_lines((one / "run.jsonl").read_text()) if "ranks" in line]
    assert 0 < max(line.get("step", 0) for line in starts) < 60
    for name in ("metrics.jsonl", "export/model.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


_AN_HOUR_AGO = """
from openalign import cli, telemetry
telemetry.PROCESS_BEGAN -= 3600
cli.entry()
"""


def test_a_time_limit_counts_from_the_command_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """What comes before the ranks has taken all of an hour, so that they take one step."""
    stop = Stopping(time_limit_minutes=60, lead_seconds=0)
    pipelines = make_run(tmp_path, tiny_config(num_processes=2, stop=stop))
    words = command(pipelines)[3:]
    late = [sys.executable, "-c", _AN_HOUR_AGO, *words]

    codes: list[int] = []
    said: list[str] = []
    for line in (late, command(pipelines)):
        done = subprocess.run(
            line, env=rank_environment(), capture_output=True, text=True, check=False
        )
        codes.append(done.returncode)
        said.append(done.stderr)

    assert codes == [STOPPED, 0], said
    assert (
        "stopped at `train.stop.time_limit_minutes` behind step 1 of 8, with a checkpoint"
        in said[0]
    )
    assert "goes on from step 1" in said[1]
    steps = read_json_lines((pipelines.parent / "run" / "train" / "metrics.jsonl").read_text())
    assert [line["step"] for line in steps] == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("during", [2, 3], ids=["before the last step", "in the last step"])
def test_a_run_that_is_stopped_behind_its_last_step_is_exported_by_the_next_start(
    corpus: Corpus, tmp_path: Path, during: int
) -> None:
    """Of three steps: no statistics are settled and nothing is exported in a grace of seconds."""
    places = (tiny_config(duration=Duration(steps=3)), corpus, str(tmp_path), f"{tmp_path}/work")
    job = (run_checks.train_until_stopped, (*places, during))

    stopped = start_ranks(job, num_ranks=2, folder=tmp_path)
    said = [process.communicate()[0] for process in stopped]

    assert [process.returncode for process in stopped] == [STOPPED, STOPPED], said
    assert "stopped behind step 3 of 3, with a checkpoint" in said[0]
    assert not (tmp_path / "export").exists()

    finish(start_ranks((tiny_training.train, places), num_ranks=2, folder=tmp_path))
    assert (tmp_path / "export" / "model.safetensors").exists()
    steps = read_json_lines((tmp_path / "metrics.jsonl").read_text())
    assert [line["step"] for line in steps] == [0, 1, 2]
