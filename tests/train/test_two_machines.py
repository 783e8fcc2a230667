"""Machines that share a root take turns: a run goes on elsewhere, and what was away stays out."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_training
from patience import PATIENCE_SECONDS, wait_for
from shared_store import PREFIX, see_shared_store
from tiny_training import Corpus, make_corpus, result_bytes, spec_for, tiny_config

from openalign.files import leases
from openalign.train import rank
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import Batch, TrainingSet


def train_on_machine(
    config: TrainConfig, corpus: Corpus, root: str, machine: str, seconds_of_step: float
) -> None:
    """Be the only rank of a run on a machine of this name."""
    see_shared_store()
    leases._machine = lambda: machine
    leases.PACE = leases.LeasePace(
        expiry_seconds=3, beat_seconds=0.3, poll_seconds=0.2, settle_seconds=0.2
    )

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    fcntl.flock = refuse  # locks may hold on one machine only
    make = TrainingSet.batch

    def batch(self: TrainingSet, number: int, **places: int) -> Batch:
        time.sleep(seconds_of_step)
        return make(self, number, **places)

    TrainingSet.batch = batch  # pyright: ignore[reportAttributeAccessIssue]
    rank.run(spec_for(config, corpus, root))


class Machines:
    """Machines that train one run; each has a temporary folder of its own."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.folder, self.corpus = folder, corpus
        self.started: list[subprocess.Popen[str]] = []

    def start(self, name: str, root: str, *, seconds_of_step: float) -> subprocess.Popen[str]:
        own = self.folder / name
        own.mkdir()
        job = own / "job.pkl"
        arguments = (tiny_config(), self.corpus, root, name, seconds_of_step)
        job.write_bytes(tiny_training.pickle.dumps((train_on_machine, arguments)))
        path = os.pathsep.join(sys.path)
        process = subprocess.Popen(
            [sys.executable, "-m", "tiny_training", str(job)],
            env=tiny_training.rank_environment() | {"TMPDIR": str(own), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    found = Machines(tmp_path, make_corpus(tmp_path / "corpus"))
    yield found
    for process in found.started:
        process.kill()
        process.communicate()


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    def is_whole() -> bool:
        assert process.poll() is None, process.communicate()[0]
        found = folder.glob(f".train.*/checkpoints/step-{step:08d}/checkpoint.json")
        return any(found)

    wait_for(is_whole, f"the checkpoint of step {step}")


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def end_of(process: subprocess.Popen[str]) -> str:
    """Return what a machine said, once it has ended."""
    return process.communicate(timeout=PATIENCE_SECONDS)[0]


@pytest.mark.slow
def test_a_run_under_a_url_goes_on_on_other_machines_and_what_was_paused_publishes_nothing(
    tmp_path: Path, machines: Machines
) -> None:
    """The first is paused beyond its lease, the second killed, and the third ends the run."""
    folder = tmp_path / "root"
    root = f"{PREFIX}{folder}"
    first = machines.start("first", root, seconds_of_step=0.5)
    wait_for_step(folder, 3, first)
    os.kill(first.pid, signal.SIGSTOP)
    second = machines.start("second", root, seconds_of_step=0.5)
    wait_for_step(folder, 6, second)
    os.kill(second.pid, signal.SIGKILL)
    third = machines.start("third", root, seconds_of_step=0)
    said = end_of(third)
    sealed = all_bytes(folder / "train")
    os.kill(first.pid, signal.SIGCONT)
    excuse = end_of(first)

    assert third.returncode == 0, said
    assert f"is held by process {second.pid}" in said
    assert "goes on from step 6" in said
    assert "goes on from step 3" in end_of(second)
    assert first.returncode != 0
    assert "this run no longer holds" in excuse
    assert "publishes nothing more" in excuse
    assert all_bytes(folder / "train") == sealed
    assert not list(folder.glob(".train.*"))
    leases_taken = sorted(path.name for path in (folder / ".lease-train").iterdir())
    assert leases_taken == [f"0000000{token}.json" for token in (1, 2, 3)]

    undisturbed = tmp_path / "undisturbed"
    alone = machines.start("alone", str(undisturbed), seconds_of_step=0)
    told = end_of(alone)
    assert alone.returncode == 0, told
    assert result_bytes(folder) == result_bytes(undisturbed)


@pytest.mark.slow
def test_a_run_that_was_paused_writes_nothing_into_a_folder_that_machines_share(
    tmp_path: Path, machines: Machines
) -> None:
    root = tmp_path / "root"
    first = machines.start("first", str(root), seconds_of_step=0.5)
    wait_for_step(root, 3, first)
    os.kill(first.pid, signal.SIGSTOP)
    second = machines.start("second", str(root), seconds_of_step=0)
    said = end_of(second)
    sealed = all_bytes(root)
    os.kill(first.pid, signal.SIGCONT)
    excuse = end_of(first)

    assert second.returncode == 0, said
    assert first.returncode != 0
    assert "publishes nothing more" in excuse
    lines = (root / "train" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(8))
    assert all_bytes(root) == sealed
