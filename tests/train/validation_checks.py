"""Trainings that validate, for test_validating_runs.py; each is one rank."""

import run_checks
import tiny_training
from tiny_training import Corpus

from openalign.train import loop, zero
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import TrainingSet
from openalign.train.state import TrainingState
from openalign.train.validation import validation_loss
from openalign.train.watchdog import Mark

WORSE_AFTER = 4
"""Steps behind which the loss in validation is told higher than it is."""


def train_all(jobs: list[tuple[TrainConfig, Corpus, str]]) -> None:
    """Run several trainings one after the other, whose loss in validation rises at last."""
    loop.validation_loss = _told_worse
    with zero.joined_ranks():
        for config, corpus, output in jobs:
            tiny_training.train(config, corpus, output, f"{output}/work")


def train_until_killed(config: TrainConfig, corpus: Corpus, output: str, step: int) -> None:
    loop.validation_loss = _told_worse
    run_checks.train_until_killed(config, corpus, output, f"{output}/work", step)


def _told_worse(state: TrainingState, pairs: TrainingSet, at: Mark) -> float:
    return validation_loss(state, pairs, at) + (state.progress.step > WORSE_AFTER)
