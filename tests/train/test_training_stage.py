"""The stage as a user runs it: started by `openalign train`, and as ranks that torchrun started."""

import os
import shutil
import subprocess
import sys
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


def test_while_a_run_trains_nobody_else_does(untrained: Path, tmp_path: Path) -> None:
    """With other settings either: whichever sealed first would remove what the other had begun."""
    root = copy_of(untrained, tmp_path)
    with StageFolder(str(root), "train").locked():
        ranks = start_as_ranks(words(untrained, root, "train.seed=1"), num_ranks=2)
        starter = run_starter(untrained, root, "train.seed=2")
        said = [starter.stderr, *(process.communicate()[0] for process in ranks)]

    assert [process.returncode for process in (starter, *ranks)] == [2, 2, 2]
    refusal = f"error: another run is at work on {root}/train: process {os.getpid()} on "
    assert [refusal in text for text in said] == [True, True, True]
    assert list(root.glob(".train.*")) == []
