"""Whole runs on two gloo ranks: one that nothing happens to, and what must not differ from it."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_checks
import tiny_training
import torch
from safetensors.torch import load_file
from tiny_training import Corpus, finish, make_corpus, start_ranks, tiny_config

from openalign.files.manifest import StageFolder
from openalign.telemetry import read_json_lines
from openalign.train import launch
from openalign.train.checkpoints.manifest import Progress, read_manifest
from openalign.train.checkpoints.pieces import load_towers
from openalign.train.config import Duration
from openalign.train.data.order import rows_at
from openalign.train.model.towers import build_towers
from openalign.train.stopping import Stopping
from openalign.train.updates import Schedule

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def launched(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run through the launcher, with no compiler on PATH and a fresh extension cache."""
    folder = tmp_path_factory.mktemp("launched")
    (folder / "empty").mkdir()
    job = (tiny_training.train, (tiny_config(), corpus, str(folder), str(folder / "work")))
    path = folder / "job.pkl"
    path.write_bytes(tiny_training.pickle.dumps(job))
    environment = tiny_training.rank_environment() | {
        "PATH": str(folder / "empty"),
        "TORCH_EXTENSIONS_DIR": str(folder / "extensions"),
    }
    launch.launch(
        [str(path)],
        num_processes=2,
        folders=[str(folder)],
        stop=Stopping(grace_seconds=20),
        environment=environment,
        module="tiny_training",
    )
    return folder


@pytest.fixture(scope="module")
def resumed(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, killed in its sixth step, three steps after a checkpoint, and started again."""
    folder = tmp_path_factory.mktemp("resumed")
    places = (tiny_config(), corpus, str(folder), str(folder / "work"))
    killed = start_ranks((run_checks.train_until_killed, (*places, 5)), num_ranks=2, folder=folder)
    for process in killed:
        process.communicate()
    assert [process.returncode for process in killed] == [-9, -9]
    assert metrics(folder)[-1]["step"] >= 3
    finish(start_ranks((tiny_training.train, places), num_ranks=2, folder=folder))
    return folder


def open_vocabulary(folder: Path) -> list[str]:
    return (folder / "vocabulary.txt").read_text().splitlines()


def metrics(folder: Path) -> list[dict[str, Any]]:
    return read_json_lines((folder / "metrics.jsonl").read_text())


def test_nothing_is_compiled(launched: Path) -> None:
    built = launched / "extensions"

    assert not built.exists() or not any(built.iterdir())


def test_every_step_has_a_line_without_a_time(launched: Path) -> None:
    lines = metrics(launched)

    assert [line["step"] for line in lines] == list(range(8))
    assert set(lines[0]) == {
        "step",
        "train/loss",
        "train/temperature",
        "train/learning_rate",
        "train/gradient_norm",
        "train/epoch",
        "train/unknown_share",
    }
    # 16 pairs a step of 64; two steps of warm-up to 2e-3.
    assert [line["train/epoch"] for line in lines[:2]] == [0.25, 0.5]
    assert [line["train/learning_rate"] for line in lines[:3]] == [1e-3, 2e-3, 2e-3]
    # Ln 16 a direction at the start, give or take; the temperature moves by 1% a step at most.
    assert 5.0 < lines[0]["train/loss"] < 7.0
    assert lines[0]["train/temperature"] == pytest.approx(0.1, rel=0.0051)
    assert lines[0]["train/temperature"] != 0.1


def test_times_and_curves_stand_beside_the_result(launched: Path) -> None:
    times = read_json_lines((launched / "run.jsonl").read_text())

    assert {**times[0], "time": 0} == {"time": 0, "step": 0, "ranks": 2, "zero_stage": 2}
    assert {"samples_per_second", "data_wait_share", "time"} <= set(times[1])
    assert times[-1] == {"ranks": 2, "ended_with": 0}
    assert any((launched / "tensorboard").iterdir())


def test_only_the_newest_checkpoints_stay(launched: Path) -> None:
    names = sorted(path.name for path in (launched / "checkpoints").iterdir())

    assert names == ["step-00000006", "step-00000008"]


def test_a_killed_run_goes_on_with_the_same_pairs_and_losses(launched: Path, resumed: Path) -> None:
    assert (resumed / "metrics.jsonl").read_bytes() == (launched / "metrics.jsonl").read_bytes()
    assert progress(resumed).sample_hash == progress(launched).sample_hash


def test_a_run_whose_lines_are_gone_says_so(corpus: Corpus, launched: Path, tmp_path: Path) -> None:
    """Its newest checkpoint is of the last step, so only the statistics and the export are left."""
    shutil.copytree(launched / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "metrics.jsonl").write_text("")
    places = (tiny_config(), corpus, str(tmp_path), str(tmp_path / "work"))

    said = finish(start_ranks((tiny_training.train, places), num_ranks=2, folder=tmp_path))

    assert progress(launched).num_lines == {"metrics.jsonl": 8, "skipped.jsonl": 0}
    assert "metrics.jsonl has lost 8 of the 8 lines that it had at the checkpoint" in said[0]
    assert "has lost" not in said[1]


def test_a_checkpoint_knows_every_start_that_led_to_it(launched: Path, resumed: Path) -> None:
    def starts(folder: Path) -> list[tuple[int, int]]:
        return [(start.step, start.world_size) for start in progress(folder).starts]

    assert starts(launched) == [(0, 2)]
    assert starts(resumed) == [(0, 2), (3, 2)]


def test_a_killed_run_ends_with_the_same_bytes(launched: Path, resumed: Path) -> None:
    names = sorted(p.name for p in (launched / "export").iterdir())

    assert names == sorted(p.name for p in (resumed / "export").iterdir())
    for name in names:
        assert (resumed / "export" / name).read_bytes() == (
            launched / "export" / name
        ).read_bytes(), name


def test_one_rank_trains_as_two_do(launched: Path, corpus: Corpus, tmp_path: Path) -> None:
    """It runs two blocks one after the other where each of two ranks has one."""
    job = (tiny_training.train, (tiny_config(), corpus, str(tmp_path), str(tmp_path / "work")))
    finish(start_ranks(job, num_ranks=1, folder=tmp_path))

    for one, two in zip(metrics(tmp_path), metrics(launched), strict=True):
        assert one["train/loss"] == pytest.approx(two["train/loss"], rel=1e-5)
        assert one["train/gradient_norm"] == pytest.approx(two["train/gradient_norm"], rel=1e-3)
    assert progress(tmp_path).sample_hash == progress(launched).sample_hash


def test_the_sample_hash_is_that_of_the_rows_in_their_order(corpus: Corpus, launched: Path) -> None:
    rows = rows_at(np.arange(8 * 16), num_rows=64, seed=0)
    files = "\n".join(file.sha256 for file in corpus.index)
    digest = hashlib.sha256(files.encode()).hexdigest()
    for step in range(8):
        batch = b"".join(int(n).to_bytes(8, "little") for n in rows[16 * step : 16 * (step + 1)])
        digest = hashlib.sha256(bytes.fromhex(digest) + batch).hexdigest()

    assert progress(launched).sample_hash == digest


def progress(folder: Path) -> Progress:
    return read_manifest(str(folder / "checkpoints" / "step-00000008")).progress


def test_a_step_that_is_not_finite_is_skipped_by_all_and_written_down(
    corpus: Corpus, tmp_path: Path
) -> None:
    once, always = tmp_path / "once", tmp_path / "always"
    for folder in (once, always):
        folder.mkdir()
    config = replace(tiny_config(), duration=Duration(steps=5), nonfinite_steps_in_a_row=2)
    # Stage 3 as well: there a forward pass without its backward must leave nothing behind.
    sharded = replace(config, zero=replace(config.zero, stage=3, persistence_threshold=0))
    jobs = [(config, corpus, str(once), [2], 0), (sharded, corpus, str(always), [1, 3, 4], 1)]

    finish(start_ranks((run_checks.train_two_ways, (jobs,)), num_ranks=2, folder=tmp_path))

    assert [(once / f"said-{rank}.txt").read_text() for rank in range(2)] == ["", ""]
    assert [line["step"] for line in metrics(once)] == [0, 1, 3, 4]
    skipped = read_json_lines((once / "skipped.jsonl").read_text())
    keys = corpus.table()["key"].to_pylist()
    rows = rows_at(torch.arange(32, 48).numpy(), num_rows=64, seed=0)
    why = "its loss or gradient was not finite"
    assert skipped == [{"step": 2, "why": why, "keys": [keys[row] for row in rows]}]
    # The step's statistics are forgotten too: once they held a nan they would never lose it.
    saved = build_towers(config, vocabulary_size=len(open_vocabulary(once)))
    load_towers(saved, once / "checkpoints" / "step-00000003")
    state = saved.state_dict()
    assert sum("running_var" in name for name in state) > 10
    for tensors in (state, load_file(once / "export" / "model.safetensors")):
        assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())

    for rank in range(2):
        said = (always / f"said-{rank}.txt").read_text()
        assert said == (
            "training stopped at step 4: the loss or gradient of 2 steps in a row was not finite"
        )
    assert [line["step"] for line in metrics(always)] == [0, 2]


def test_one_process_alone_trains_into_any_store(corpus: Corpus, tmp_path: Path) -> None:
    """No rank in the environment, and a URL that DeepSpeed could not write to."""
    path, listing = tmp_path / "job.pkl", tmp_path / "listing.json"
    config = replace(tiny_config(), duration=Duration(steps=3))
    job = (run_checks.train_into_memory, (config, corpus, str(listing)))
    path.write_bytes(tiny_training.pickle.dumps(job))

    done = tiny_training.subprocess.run(
        [tiny_training.sys.executable, "-m", "tiny_training", str(path)],
        env=tiny_training.rank_environment() | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(listing.read_text())
    assert found["sha256"] == found["actual"]
    assert found["roots"] == [".hashes", ".lease-train", "train"]
    assert {"vocabulary.txt", "metrics.jsonl", "export/model.safetensors"} <= set(found["names"])
    assert "run.jsonl" in found["names"]
    assert "run.jsonl" not in found["sha256"]
    assert not any(name.startswith("work/") for name in found["names"])
    # Nothing that a run goes on from lies on this machine alone.
    checkpoints = {name for name in found["names"] if name.startswith("checkpoints/")}
    assert {name.split("/")[1] for name in checkpoints} == {"step-00000003"}
    (local,) = tmp_path.glob("openalign-train-*")
    assert not (local / "checkpoints").exists()
    assert not any((local / "work").iterdir())
    # 3 steps of 16 see 48 of the 64 pairs.
    assert found["states"] == {"trained_on": 48, "never_drawn": 16}
    assert (found["num_inputs"], found["num_outputs"]) == (64, 48)
    assert found["facts"]["steps"] == 3


def test_every_rank_is_told_why_a_run_cannot_start(corpus: Corpus, tmp_path: Path) -> None:
    """A locked stage; a warm-up of 2 steps, which are 0.5 epochs of 64 pairs; a full disk; ranks
    with other settings, another decoder, other data, and a root on a disk of their machine's."""
    long = replace(tiny_config(), duration=Duration(epochs=0.5), schedule=Schedule(warmup_steps=2))
    short = replace(tiny_config(), duration=Duration(steps=3))
    taken, free = tmp_path / "taken", tmp_path / "free"
    jobs = [(tiny_config(), corpus, str(taken)), *((c, corpus, str(free)) for c in (long, short))]

    with StageFolder(str(taken), "train").locked():
        job = (run_checks.be_refused, (jobs, str(tmp_path)))
        finish(start_ranks(job, num_ranks=2, folder=tmp_path))

    for rank in range(2):
        said = json.loads((tmp_path / f"said-{rank}.json").read_text())
        locked, too_long, full, settings, libraries, data, root = said
        told = "StageError: rank 1 does not have the same as rank 0: "
        assert re.fullmatch(
            rf"{told}settings of the result \(\w{{12}}... in place of \w{{12}}...\), "
            r"train.seed \(1 in place of 0\), train.decode_threads \(2 in place of 1\)",
            settings,
        )
        assert libraries == f"{told}simplejpeg (1.1 in place of 1.0)"
        assert data == (
            f"{told}`select` (111111111111... in place of 000000000000...), `fetch` (fetched by 1 "
            "in place of fetched by 0)"
        )
        own = rf"{tmp_path}/machine-1/\.train\.\w{{16}}/work of rank 1's machine"
        assert re.fullmatch(rf"StageError: {own} is not the folder that rank 0 has there", root)
        assert locked.startswith(
            f"StageError: another run is at work on {taken}/train: process {os.getpid()}"
        )
        assert too_long.startswith("ConfigError: `train.schedule.warmup_steps` is 2, and the run")
        assert full.startswith(
            "StageError: rank 0: a disk is full" if rank else "OSError: [Errno 28]"
        )
    assert [path.name for path in taken.iterdir()] == [".lock-train"]
    assert not (free / "train").exists()
    assert not list(tmp_path.glob("machine-*/**/.tmp-*"))


def test_a_bit_that_flipped_in_the_index_stops_the_run_long_before_its_first_checkpoint(
    tmp_path: Path,
) -> None:
    """In an alt-text: the file is as long as it was, and trains."""
    corpus = make_corpus(tmp_path / "corpus")
    damaged = Path(corpus.index[1].url)
    content = damaged.read_bytes()
    at = content.index(b"picture of one")
    damaged.write_bytes(content[:at] + b"q" + content[at + 1 :])
    root = tmp_path / "run"
    root.mkdir()

    config = tiny_config(duration=Duration(steps=300), checkpoint_every_steps=300)
    job = (run_checks.be_refused_for_damage, (config, corpus, str(root)))
    finish(start_ranks(job, num_ranks=2, folder=tmp_path))

    for number in range(2):
        assert (root / f"said-{number}.txt").read_text() == (
            f"{damaged} is not what `select` wrote: its sha256 differs; copy it back from where "
            f"it is whole; or remove {damaged.parent} and run `openalign select` again, which "
            "writes the same and fetches nothing"
        )
    assert not list(root.glob(".train.*/checkpoints/step-*"))
    assert not (root / "train").exists()
    (lines,) = root.glob(".train.*/metrics.jsonl")
    assert 1 <= len(read_json_lines(lines.read_text())) < 300
