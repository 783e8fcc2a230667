"""Training runs that something happens to, for test_training_run.py; each is one rank."""

import errno
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import tiny_training
import torch
from shared_store import PREFIX, see_shared_store
from tiny_training import Corpus, spec_for
from torch import Tensor

from openalign.errors import OpenAlignError, StageError
from openalign.files import storage
from openalign.files.manifest import Manifest, StageFolder
from openalign.train import local_ranks, loop, rank, software, state, zero
from openalign.train import ranks as ranks_module
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import Batch, TrainingSet


def train_until_killed(
    config: TrainConfig, corpus: Corpus, output: str, work: str, step: int
) -> None:
    """Train, and die without a word in the middle of a step, once a checkpoint is whole."""
    _die_in(Path(output), step)
    tiny_training.train(config, corpus, output, work)


def be_refused_for_damage(config: TrainConfig, corpus: Corpus, root: str) -> None:
    """Train on an index that is not what was written; note what this rank was told."""
    try:
        rank.run(spec_for(config, corpus, root))
    except StageError as error:
        said = f"{error}; {error.hint}"
        Path(root, f"said-{os.environ['RANK']}.txt").write_text(said)


def train_until_stopped(
    config: TrainConfig, corpus: Corpus, output: str, work: str, during: int
) -> None:
    """Train; the last rank is asked to stop while it takes a step, counted from 1."""
    take_step = zero.take_step
    count = 0
    number_of_rank, world_size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))

    def take_and_ask(*arguments: Any) -> float:
        nonlocal count
        count += 1
        if count == during and number_of_rank == world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(*arguments)

    zero.take_step = take_and_ask
    tiny_training.train(config, corpus, output, work)


def run_until_killed(spec: rank.TrainingSpec, step: int) -> None:
    """Be a rank that dies without a word in the middle of a step."""
    _die_in(Path(spec.output), step)
    rank.run(spec)


def _die_in(output: Path, step: int) -> None:
    # Batches are made one step ahead: when this one is, the step before it is being taken.
    _die_as_made(
        step,
        lambda: (
            _has_step(output / "metrics.jsonl", step - 2)
            and any((output / "checkpoints").glob("step-*"))  # a thread writes it
        ),
    )


def _die_as_made(step: int, may_die: Callable[[], bool]) -> None:
    make = TrainingSet.batch

    def batch(self: TrainingSet, number: int, **places: int) -> Batch:
        if number == step:
            while not may_die():
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return make(self, number, **places)

    TrainingSet.batch = batch  # pyright: ignore[reportAttributeAccessIssue]


def train_with_bad_pixels(
    config: TrainConfig, corpus: Corpus, output: str, bad_steps: list[int], bad_rank: int
) -> None:
    """Train while one rank's image is not a number in some steps; note how it ended."""
    make = TrainingSet.batch
    number_of_rank = int(os.environ["RANK"])

    def batch(self: TrainingSet, number: int, **places: int) -> Batch:
        made = make(self, number, **places)
        if number in bad_steps and number_of_rank == bad_rank:
            pixels = made.pixels[:]
            pixels[0, 0, 0, 0] = float("nan")
            return replace(made, pixels=pixels)
        return made

    TrainingSet.batch = batch  # pyright: ignore[reportAttributeAccessIssue]
    said = ""
    try:
        tiny_training.train(config, corpus, output, f"{output}/work")
    except StageError as error:
        said = str(error)
    TrainingSet.batch = make
    Path(output, f"said-{number_of_rank}.txt").write_text(said)


def train_two_ways(jobs: list[tuple[Any, ...]]) -> None:
    """Run several of the above one after the other, to start processes once."""
    with zero.joined_ranks():
        for job in jobs:
            train_with_bad_pixels(*job)


def train_silently(config: TrainConfig, corpus: Corpus, root: str) -> None:
    """Train without a message: a rank whose starter is gone would end at its next one anyway.

    A file bears this rank's number.
    """
    Path(root, f"{os.getpid()}.pid").touch()
    local_ranks.end_with_starter()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    rank.run(spec_for(config, corpus, root))


def be_refused(jobs: list[tuple[TrainConfig, Corpus, str]], folder: str) -> None:
    """Start runs that cannot go on, one after the other; note what this rank was told.

    The last four are the first one, of which each rank has other settings, other libraries, other
    data and a root of its own.

    What gets as far as its seal finds the disk full.
    """
    said: list[str] = []

    def seal(*_: object, **__: object) -> Manifest:
        raise OSError(errno.ENOSPC, "No space left on device")

    StageFolder.seal = seal
    ranks_module.SIGHT_SECONDS = 1.0
    with zero.joined_ranks() as ranks:
        number = ranks.rank
        first, *places = jobs[0]
        differing = replace(first, seed=number, decode_threads=1 + number)
        own = (first, places[0], f"{folder}/machine-{number}")
        specs = [spec_for(*job) for job in [*jobs, (differing, *places), *jobs[:1] * 2, own]]
        contents = {"select": f"{number}" * 64, "fetch": f"fetched by {number}"}
        inputs = msgspec.structs.replace(specs[-2].inputs, contents=contents)
        specs[-2] = msgspec.structs.replace(specs[-2], inputs=inputs)
        of_rank = software.software()
        for at, spec in enumerate(specs):
            is_mixed = at == len(specs) - 3
            decoder = {"simplejpeg": f"1.{number}", "triton": "3.9"} if is_mixed else {}
            rank.software = lambda decoder=decoder: of_rank | decoder
            try:
                rank.run(spec)
            except (OpenAlignError, OSError) as error:
                said.append(f"{type(error).__name__}: {error}")
        Path(folder, f"said-{ranks.rank}.json").write_text(json.dumps(said))


def train_into_memory(config: TrainConfig, corpus: Corpus, listing: str) -> None:
    """Train alone, without anyone having set ranks, into a store that is not a local folder."""
    spec = spec_for(config, corpus, "memory://runs")
    rank.run(spec)
    manifest = spec.folder.require()
    found = {
        "roots": storage.list_names("memory://runs"),
        "names": storage.list_files("memory://runs/train"),
        "sha256": {f.name: f.sha256 for f in manifest.files},
        "actual": {
            f.name: storage.sha256_of(f"memory://runs/train/{f.name}") for f in manifest.files
        },
        "states": manifest.states,
        "num_inputs": manifest.num_inputs,
        "num_outputs": manifest.num_outputs,
        "facts": manifest.facts,
    }
    Path(listing).write_text(json.dumps(found))


def train_on_a_machine_each(
    config: TrainConfig, corpus: Corpus, root: str, dies_at: int | None
) -> None:
    """Be a rank that shares only the root with the others: its temporary folder is its own.

    Rank 1 dies without a word as a batch is made, once a checkpoint is whole.
    """
    see_shared_store()
    number_of_rank = os.environ["RANK"]
    own = Path(f"{root.removeprefix(PREFIX)}-machine-{number_of_rank}")
    own.mkdir(exist_ok=True)
    tempfile.tempdir = str(own)
    os.environ["LOCAL_RANK"] = "0"
    if number_of_rank == "1" and dies_at is not None:
        _die_as_made(dies_at, lambda: any(_whole_checkpoints(root)))
    rank.run(spec_for(config, corpus, root))


def _whole_checkpoints(root: str) -> Iterator[Path]:
    return Path(root.removeprefix(PREFIX)).glob(".train.*/checkpoints/step-*/checkpoint.json")


def train_with_stuck_reads(config: TrainConfig, corpus: Corpus, output: str, stuck: str) -> None:
    """Train; rank 1 has its shards in a folder of its own."""
    own = corpus if os.environ["RANK"] == "0" else replace(corpus, shards=stuck)
    tiny_training.train(config, own, output, f"{output}/work")


def train_and_keep_embeddings(config: TrainConfig, corpus: Corpus, output: str) -> None:
    """Train, and keep what each step gives the loss on this rank."""
    loss, kept = loop.contrastive_loss, list[tuple[Tensor, ...]]()

    def keeping(*given: Tensor, **options: Any) -> Tensor:
        kept.append(tuple(tensor.detach().clone() for tensor in given))
        return loss(*given, **options)

    loop.contrastive_loss = keeping  # pyright: ignore[reportPrivateImportUsage]
    tiny_training.train(config, corpus, output, f"{output}/work")
    torch.save(kept, Path(output, f"kept-{os.environ['RANK']}.pt"))


def train_until_one_hangs(config: TrainConfig, corpus: Corpus, output: str, before: str) -> None:
    """Train; rank 1 hangs where it would call a function of the loop or of the start."""
    if os.environ["RANK"] == "1":
        module = loop if hasattr(loop, before) else state
        setattr(module, before, lambda *_, **__: time.sleep(600))
    tiny_training.train(config, corpus, output, f"{output}/work")


def _has_step(path: Path, step: int) -> bool:
    return path.exists() and f'"step": {step},' in path.read_text()
