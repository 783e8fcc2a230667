"""The stage as a user runs it: started by `openalign train`, and as ranks that torchrun started."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_training import (
    Duration,
    finish,
    make_run,
    rank_environment,
    start_as_ranks,
    tiny_config,
)

from openalign.files.manifest import StageFolder
from openalign.telemetry import read_json_lines

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

LONG = "train.duration={steps: 1000000}"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny_config(num_processes=2, duration=Duration(steps=4))
    return make_run(tmp_path_factory.mktemp("untrained"), config)


@pytest.fixture(scope="module")
def started(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a run that `openalign train` has trained."""
    root = copy_of(untrained, tmp_path_factory.mktemp("started"))
    done = run_starter(untrained, root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def as_ranks(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a run that two ranks, started as by torchrun, have trained."""
    root = copy_of(untrained, tmp_path_factory.mktemp("ranks"))
    finish(start_as_ranks(words(untrained, root), num_ranks=2))
    return root


def copy_of(pipelines: Path, folder: Path) -> Path:
    shutil.copytree(pipelines.parent / "run", folder / "run")
    return folder / "run"


def words(pipelines: Path, root: Path, *overrides: str) -> list[str]:
    given = [word for o in (f"root={root}", *overrides) for word in ("--set", o)]
    return ["-m", "openalign", "train", "tiny", "--config", str(pipelines), *given]


def run_starter(pipelines: Path, root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words(pipelines, root, *overrides)],
        env=rank_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_starter_finds_the_stage_that_rank_0_sealed(started: Path) -> None:
    manifest = StageFolder(str(started), "train").require()

    # 4 steps of 16 see all 64 pairs.
    assert (manifest.num_inputs, manifest.num_outputs) == (64, 64)
    assert manifest.facts["steps"] == 4
    stages = {"candidates", "filtered", "selected", "shards", "train"}
    assert {path.name for path in started.iterdir()} == {".lock-train", "run.jsonl", *stages}
    assert not (started / "train" / "work").exists()
    times = read_json_lines((started / "train" / "run.jsonl").read_text())
    assert times[-1] == {"ranks": 2, "ended_with": 0}


def test_both_ways_make_the_same_bytes(started: Path, as_ranks: Path) -> None:
    results = [
        {
            path.relative_to(root): path.read_bytes()
            for path in (root / "train").rglob("*")
            if path.is_file() and path.name != "run.jsonl" and "tensorboard" not in path.parts
        }
        for root in (started, as_ranks)
    ]

    assert {Path("train/COMPLETE"), Path("train/metrics.jsonl")} <= set(results[0])
    assert results[0] == results[1]


def test_a_stage_that_is_up_to_date_says_so_both_ways(untrained: Path, started: Path) -> None:
    before = (started / "train" / "COMPLETE").stat().st_mtime_ns

    done = run_starter(untrained, started)
    said = finish(start_as_ranks(words(untrained, started), num_ranks=2))

    assert (done.returncode, done.stderr) == (0, "train     up to date\n")
    assert ["train     up to date" in text for text in said] == [True, False]
    assert (started / "train" / "COMPLETE").stat().st_mtime_ns == before


def test_while_a_starter_trains_nobody_else_does(
    untrained: Path, started: Path, tmp_path: Path
) -> None:
    """With other settings either: whichever sealed first would remove what the other had begun."""
    root = copy_of(untrained, tmp_path)
    command = [sys.executable, *words(untrained, root, LONG)]
    with training(root, [start(command)]) as processes:
        second = run_starter(untrained, root)
        ranks = start_as_ranks(words(untrained, root), num_ranks=2)
        said = [process.communicate(timeout=120)[0] for process in ranks]

        assert second.returncode == 2
        assert f"error: another run is at work on {root}/train: process" in second.stderr
        assert [process.returncode for process in ranks] == [2, 2]
        assert all(f"another run is at work on {root}/train: process" in text for text in said)
        assert processes[0].poll() is None
        processes[0].send_signal(signal.SIGTERM)
        assert processes[0].wait(60) == 143
    assert not (root / "train").exists()


def test_while_ranks_train_no_starter_does(untrained: Path, tmp_path: Path) -> None:
    root = copy_of(untrained, tmp_path)
    with training(root, start_as_ranks(words(untrained, root, LONG), num_ranks=2)) as processes:
        done = run_starter(untrained, root)

        assert done.returncode == 2
        assert f"error: another run is at work on {root}/train: process" in done.stderr
        assert [process.poll() for process in processes] == [None, None]


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, env=rank_environment(), stderr=subprocess.DEVNULL, text=True)


@contextmanager
def training(
    root: Path, processes: list[subprocess.Popen[str]]
) -> Generator[list[subprocess.Popen[str]]]:
    """Wait until the first step is taken; end the processes with the block."""
    try:
        deadline = time.monotonic() + 120
        while not list(root.glob(".train.*/metrics.jsonl")):
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()
