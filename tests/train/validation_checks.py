"""Trainings that validate, for test_validating_runs.py; each is one rank."""

import run_checks
import tiny_training
from tiny_training import Corpus

from openalign.train import validation, zero
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import TrainingSet
from openalign.train.state import TrainingState
from openalign.train.watchdog import Mark

WORSE_AFTER = 4
"""Steps after which the loss in validation is told higher than it is."""

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


def _told_worse(state: TrainingState, pairs: TrainingSet, at: Mark, *, num_batches: int) -> float:
    loss = _loss(state, pairs, at, num_batches=num_batches)
    return loss + (state.progress.step > WORSE_AFTER)
