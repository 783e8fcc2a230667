"""Training runs that something happens to, for test_training_run.py; each is one rank."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
from tiny_training import Corpus

from openalign.errors import OpenAlignError, StageError
from openalign.files import storage
from openalign.train import loop, zero
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import Batch, TrainingSet


def train_until_killed(
    config: TrainConfig, corpus: Corpus, output: str, work: str, step: int
) -> None:
    """Train, and die without a word in the middle of a step."""
    make = TrainingSet.batch

    def batch(self: TrainingSet, number: int, **places: int) -> Batch:
        # Batches are made one step ahead: when this one is, the step before it is being taken.
        if number == step:
            while not _has_step(Path(output) / "metrics.jsonl", step - 2):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return make(self, number, **places)

    TrainingSet.batch = batch  # pyright: ignore[reportAttributeAccessIssue]
    loop.run(config, training=corpus.training, shards=corpus.shards, output=output, work=work)


def train_with_bad_pixels(
    config: TrainConfig, corpus: Corpus, output: str, bad_steps: list[int], bad_rank: int
) -> None:
    """Train while one rank's picture is not a number in some steps; note how it ended."""
    make = TrainingSet.batch
    rank = int(os.environ["RANK"])

    def batch(self: TrainingSet, number: int, **places: int) -> Batch:
        made = make(self, number, **places)
        if number in bad_steps and rank == bad_rank:
            made.pixels[0, 0, 0, 0] = float("nan")
        return made

    TrainingSet.batch = batch  # pyright: ignore[reportAttributeAccessIssue]
    said = ""
    try:
        loop.run(
            config,
            training=corpus.training,
            shards=corpus.shards,
            output=output,
            work=f"{output}/work",
        )
    except StageError as error:
        said = str(error)
    TrainingSet.batch = make
    Path(output, f"said-{rank}.txt").write_text(said)


def train_two_ways(jobs: list[tuple[Any, ...]]) -> None:
    """Run several of the above one after the other, to start processes once."""
    with zero.joined_ranks():
        for job in jobs:
            train_with_bad_pixels(*job)


def train_and_note(config: TrainConfig, corpus: Corpus, output: str) -> None:
    """Train under a file that bears this rank's number."""
    Path(output, f"{os.getpid()}.pid").touch()
    loop.run(
        config,
        training=corpus.training,
        shards=corpus.shards,
        output=output,
        work=f"{output}/work",
    )


def train_silently(config: TrainConfig, corpus: Corpus, output: str) -> None:
    """Train without a word: a rank whose starter is gone would end at its next one anyway."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    train_and_note(config, corpus, output)


def be_refused(jobs: list[tuple[TrainConfig, Corpus, str]], folder: str) -> None:
    """Start runs that cannot go on, one after the other; note what this rank was told."""
    said: list[str] = []
    with zero.joined_ranks() as ranks:
        for config, corpus, output in jobs:
            try:
                train_and_note(config, corpus, output)
            except OpenAlignError as error:
                said.append(f"{type(error).__name__}: {error}")
        Path(folder, f"said-{ranks.rank}.json").write_text(json.dumps(said))


def train_into_memory(config: TrainConfig, corpus: Corpus, listing: str) -> None:
    """Train alone, without anyone having set ranks, into a store that is not a local folder."""
    result = loop.run(
        config,
        training=corpus.training,
        shards=corpus.shards,
        output="memory://runs/train",
        work="memory://runs/train/work",
    )
    assert result is not None
    found = {
        "names": storage.list_files("memory://runs/train"),
        "sha256": {f.name: f.sha256 for f in result.files},
        "actual": {
            f.name: storage.sha256_of(f"memory://runs/train/{f.name}") for f in result.files
        },
        "states": dict(result.states),
        "num_inputs": result.num_inputs,
        "num_outputs": result.num_outputs,
        "facts": msgspec.to_builtins(result.facts),
    }
    Path(listing).write_text(json.dumps(found))


def _has_step(path: Path, step: int) -> bool:
    return path.exists() and f'"step": {step},' in path.read_text()
