"""Trainings that validate, for test_validating_runs.py; each is one rank."""

import tempfile
from typing import Any

import run_checks
import tiny_training
from shared_store import PREFIX, see_shared_store
from tiny_training import Corpus

from openalign.train import loop, validation, zero
from openalign.train.checkpoints.manifest import Rewind
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import TrainingSet
from openalign.train.state import TrainingState
from openalign.train.watchdog import Mark

WORSE_AFTER = 4
"""Steps after which the loss in validation is told higher than it is."""

GONE_BACK = Rewind(
    step=7, loss=3.0, mean=2.0, deviation=0.1, back_to=5, first_batch=5, stop_batch=8
)
BEST_BEHIND = 6
"""Steps after which the loss is lowest where the run goes back: it looks there twice."""

_loss = validation.validation_loss


def train_all(jobs: list[tuple[TrainConfig, Corpus, str]]) -> None:
    """Run several trainings one after the other, whose loss in validation rises at last."""
    validation.validation_loss = _told_worse
    with zero.joined_ranks():
        for config, corpus, output in jobs:
            tiny_training.train(config, corpus, output, f"{output}/work")


def train_until_killed(config: TrainConfig, corpus: Corpus, output: str, step: int) -> None:
    """Be a rank that dies without a word in the middle of a step."""
    validation.validation_loss = _told_worse
    run_checks.train_until_killed(config, corpus, output, f"{output}/work", step)


def train_until_stopped(config: TrainConfig, corpus: Corpus, output: str, during: int) -> None:
    """Be a rank of a run that is asked to stop in a step, counted from 1."""
    validation.validation_loss = _told_worse
    run_checks.train_until_stopped(config, corpus, output, f"{output}/work", during)


def train_and_go_back(config: TrainConfig, corpus: Corpus, folder: str) -> None:
    """Go back from step 7, in a folder and below a URL; and do what either must equal."""
    validation.validation_loss = _told_worse_later
    loop._rewind_for = _go_back_once
    see_shared_store()
    tempfile.tempdir = folder  # what is below a URL passes through there
    with zero.joined_ranks():
        for output, known in [
            (f"{folder}/rewound", ()),
            (f"{PREFIX}{folder}/below-url", ()),
            (f"{folder}/known", (GONE_BACK,)),
        ]:
            tiny_training.train(config, corpus, output, f"{output}/work", rewinds=known)


def _go_back_once(state: TrainingState, step: int, _outcome: Any) -> Rewind | None:
    return GONE_BACK if step == GONE_BACK.step and not state.progress.rewinds else None


def _told_worse(
    state: TrainingState,
    pairs: TrainingSet,
    at: Mark,
    *,
    num_batches: int,
    after: int = WORSE_AFTER,
) -> float:
    loss = _loss(state, pairs, at, num_batches=num_batches)
    return loss + (state.progress.step > after)


def _told_worse_later(*looked_at: Any, num_batches: int) -> float:
    """Tell the lowest loss of all for a look that will be undone."""
    loss = _told_worse(*looked_at, num_batches=num_batches, after=BEST_BEHIND)
    progress = looked_at[0].progress
    return loss - (progress.step == BEST_BEHIND and not progress.rewinds)
