"""The stage as a user runs it: started by `openalign train`, and as ranks that torchrun started."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_training import (
    Duration,
    finish,
    make_run,
    rank_environment,
    result_bytes,
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
def as_ranks(
    untrained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Sequence[str]]:
    """The root of a run that two ranks, started as by torchrun, have trained; what they said."""
    root = copy_of(untrained, tmp_path_factory.mktemp("ranks"))
    return root, finish(start_as_ranks(words(untrained, root), num_ranks=2))


def copy_of(pipelines: Path, folder: Path) -> Path:
    shutil.copytree(pipelines.parent / "run", folder / "run")
    return folder / "run"


def words(pipelines: Path, root: Path, *overrides: str) -> list[str]:
    given = [word for o in (f"root={root}", *overrides) for word in ("--set", o)]
    return ["-m", "openalign", "train", "tiny", "--config", str(pipelines), *given]


def run_starter(pipelines: Path, root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run_verb(words(pipelines, root, *overrides))


def run_verb(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
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
    kept = {".hashes", ".lease-train", ".lock-train", "run.jsonl"}
    assert {path.name for path in started.iterdir()} == {*kept, *stages}
    assert not (started / "train" / "work").exists()
    times = read_json_lines((started / "train" / "run.jsonl").read_text())
    assert times[-1] == {"ranks": 2, "ended_with": 0}


def test_ranks_wait_for_no_vocabulary_that_was_prepared(
    untrained: Path, as_ranks: tuple[Path, Sequence[str]], tmp_path: Path
) -> None:
    root = copy_of(untrained, tmp_path)
    unprepared, waited = as_ranks

    first, second = (run_verb([*words(untrained, root), "--prepare"]) for _ in range(2))
    (made,) = root.glob(".train.*/work/vocabulary.txt")
    vocabulary = made.read_bytes()
    refused = start_as_ranks([*words(untrained, root), "--prepare"], num_ranks=1)[0]
    told = refused.communicate()[0]
    said = finish(start_as_ranks(words(untrained, root), num_ranks=2))

    for done in (first, second):
        assert done.returncode == 0, done.stderr
        assert done.stderr.endswith("train     is prepared: its ranks need not wait\n")
    assert "learns word pieces" in first.stderr
    assert "learns word pieces" not in second.stderr + said[0]
    assert vocabulary == (root / "train" / "vocabulary.txt").read_bytes()
    assert refused.returncode == 2
    assert "`--prepare` is for one process alone" in told
    asks = "rank 0 makes the vocabulary while the others wait: `openalign train NAME --prepare`"
    assert [asks in text for text in (*waited, *said)] == [True, False, False, False]
    assert result_bytes(root) == result_bytes(unprepared)


def test_both_ways_make_the_same_bytes(started: Path, as_ranks: tuple[Path, Sequence[str]]) -> None:
    results = [result_bytes(root) for root in (started, as_ranks[0])]

    assert {"train/COMPLETE", "train/metrics.jsonl"} <= set(results[0])
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


def test_a_trained_model_is_never_replaced_unasked(untrained: Path, started: Path) -> None:
    """Neither by the starter nor by ranks; three steps more would begin at step 0."""
    before = (started / "train" / "COMPLETE").stat().st_mtime_ns
    longer = "train.duration={steps: 7}"

    starter = run_starter(untrained, started, longer)
    rank = start_as_ranks(words(untrained, started, longer), num_ranks=1)[0]
    said = [starter.stderr, rank.communicate()[0]]

    assert [starter.returncode, rank.returncode] == [2, 2]
    for text in said:
        assert f"{started}/train is complete, and would be made again because this" in text
        assert "duration.steps: 4 -> 7" in text
        assert "hint: --yes makes it again" in text
    assert (started / "train" / "COMPLETE").stat().st_mtime_ns == before


def test_a_killed_run_goes_on_whatever_cannot_matter_to_the_model(
    untrained: Path, started: Path, tmp_path: Path
) -> None:
    """On one rank in place of two, under another ZeRO stage, with fewer lines of metrics."""
    root = copy_of(untrained, tmp_path)
    manifest = StageFolder(str(started), "train").require()
    partial = Path(StageFolder(str(root), "train").partial_url(manifest.fingerprint))
    # What a run leaves that was killed in its fourth step.
    shutil.copytree(started / "train" / "checkpoints", partial / "checkpoints")
    shutil.rmtree(partial / "checkpoints" / "step-00000004")
    for name in ("metrics.jsonl", "vocabulary.txt"):
        shutil.copy(started / "train" / name, partial)
    changed = ("num_processes=1", "zero.stage=3", "log_every_steps=2", "keep_every_steps=3")

    done = run_starter(untrained, root, *(f"train.{setting}" for setting in changed))

    assert done.returncode == 0, done.stderr
    assert "goes on from step 3" in done.stderr
    result = StageFolder(str(root), "train").require()
    assert result.fingerprint == manifest.fingerprint
    assert result.facts["sample_hash"] == manifest.facts["sample_hash"]
    lines = [
        read_json_lines((folder / "train" / "metrics.jsonl").read_text())
        for folder in (root, started)
    ]
    assert [line["step"] for line in lines[0]] == [0, 1, 2, 3]
    assert lines[0][:3] == lines[1][:3]
    one, two = (each[3] for each in lines)
    assert one["train/loss"] == pytest.approx(two["train/loss"], rel=1e-5)
    assert one["train/gradient_norm"] == pytest.approx(two["train/gradient_norm"], rel=1e-3)


def test_another_checkpoint_is_exported_as_the_last_one_was(
    untrained: Path, started: Path, tmp_path: Path
) -> None:
    asked = [word if word != "train" else "export" for word in words(untrained, started)]

    done = {
        step: run_verb([*asked, "--step", str(step), "--output", str(tmp_path / str(step))])
        for step in (3, 4, 5)
    }

    assert [process.returncode for process in done.values()] == [0, 0, 2], done[3].stderr
    assert done[4].stdout == f"{tmp_path}/4\n"
    unsaid = run_verb(asked)
    assert unsaid.returncode == 2
    assert f"the last step's model is {started}/train/export already" in unsaid.stderr
    assert "hint: name a checkpoint with --step N; there are: 3, 4;" in unsaid.stderr
    assert "tiny has no checkpoint of step 5\n\nhint: there are: 3, 4;" in done[5].stderr
    last = started / "train" / "export"
    names = sorted(path.name for path in last.iterdir())
    for step, equal in ((3, False), (4, True)):
        assert sorted(path.name for path in (tmp_path / str(step)).iterdir()) == names
        for name in names:
            same = (tmp_path / str(step) / name).read_bytes() == (last / name).read_bytes()
            assert same == (equal or name != "model.safetensors"), name
