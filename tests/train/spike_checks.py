"""Runs in which batches are poisoned, for test_spiking_runs.py; each function is one rank."""

import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny_training
from shared_store import PREFIX, see_shared_store
from tiny_training import Corpus, tiny_config
from torch import Tensor

from openalign.errors import StageError
from openalign.train import loop, passes, zero
from openalign.train.checkpoints.manifest import Rewind
from openalign.train.config import Duration, TrainConfig
from openalign.train.data.order import rows_at
from openalign.train.data.pairs import Batch
from openalign.train.start.origin import LastCheckpoint
from openalign.train.stopping import Stopped
from openalign.train.updates import RewindSpikes, SkipSpikes

NUM_STEPS = 10
BATCH_SIZE = 16
SKIP = SkipSpikes(window_steps=4, deviations=50.0)
REWIND = RewindSpikes(window_steps=4, deviations=50.0, undone_steps=3)
POISONED = 7
"""The global batch whose loss is a spike; from step 5 on the run then takes other batches."""

FIRST_STEPS = 4
"""Of the run that others go on from: a rewind from step 7 to step 5 begins anew where it ended."""

FIRST_BEHIND = 8
"""The batch that step 5 takes instead."""


def config_of(rule: SkipSpikes | RewindSpikes | None) -> TrainConfig:
    return tiny_config(
        duration=Duration(steps=NUM_STEPS),
        loss_spikes=rule,
        checkpoint_every_steps=2,
        keep_checkpoints=1,
    )


def known_rewind(spike: Mapping[str, float]) -> Rewind:
    """Return what a spike in the poisoned batch leads to."""
    return Rewind(
        step=7,
        loss=spike["loss"],
        mean=spike["mean"],
        deviation=spike["deviation"],
        back_to=5,
        first_batch=5,
        stop_batch=8,
    )


class Poisoned:
    """While it holds, the loss of batches is another on the second rank.

    In one batch every rank may die, in another it may get SIGTERM.
    """

    def __init__(
        self,
        factors: Mapping[int, float],
        *,
        deadly: int | None = None,
        stopping: int | None = None,
    ) -> None:
        self._factors = factors
        self._signals = {deadly: signal.SIGKILL, stopping: signal.SIGTERM}
        self._embed: Callable[..., Any] = passes.embed
        self._loss: Callable[..., Tensor] = loop.contrastive_loss
        self._factor = 1.0

    def __enter__(self) -> None:
        passes.embed = self._noting
        loop.contrastive_loss = self._scaled  # pyright: ignore[reportPrivateImportUsage]

    def __exit__(self, *_: object) -> None:
        passes.embed = self._embed
        loop.contrastive_loss = self._loss  # pyright: ignore[reportPrivateImportUsage]

    def _noting(self, engine: Any, batch: Batch, share: Any, *rest: Any) -> Any:
        number = next(n for n in range(3 * NUM_STEPS) if _is_batch(batch, share.start, n))
        if number in self._signals:
            os.kill(os.getpid(), self._signals[number])
        self._factor = self._factors.get(number, 1.0) if os.environ["RANK"] == "1" else 1.0
        return self._embed(engine, batch, share, *rest)

    def _scaled(self, *given: Any, **named: Any) -> Tensor:
        return self._loss(*given, **named) * self._factor


def _is_batch(batch: Batch, start: int, number: int) -> bool:
    positions = np.arange(len(batch.rows)) + number * BATCH_SIZE + start
    return np.array_equal(batch.rows, rows_at(positions, num_rows=64, seed=0))


def run(corpus: Corpus, folder: str, spike: Callable[..., Mapping[str, float]]) -> None:
    """Skip a spike, rewind for one, and do what either must equal; die in the last run."""
    with zero.joined_ranks() as ranks:
        with Poisoned({POISONED: 100.0}):
            _train(config_of(SKIP), corpus, folder, "skipped")
            _train(config_of(REWIND), corpus, folder, "rewound")
        with Poisoned({POISONED: float("nan")}):
            _train(config_of(None), corpus, folder, "not-finite")
        known = [known_rewind(spike(folder))]
        _train(config_of(REWIND), corpus, folder, "known", rewinds=known)
        once = RewindSpikes(window_steps=4, deviations=50.0, undone_steps=3, at_most=1)
        with Poisoned({POISONED: 100.0, FIRST_BEHIND + 1: 100.0}):
            said = _said_by(once, corpus, folder)
        Path(folder, f"said-{ranks.rank}.txt").write_text(said)
        _below_a_url_and_from_another_run(corpus, folder, spike)
        with Poisoned({POISONED: 100.0}, stopping=POISONED - 1), suppress(Stopped):
            _train(config_of(REWIND), corpus, folder, "stopped")
        with Poisoned({POISONED: 100.0}, deadly=FIRST_BEHIND + 2):
            _train(config_of(REWIND), corpus, folder, "killed")


def _below_a_url_and_from_another_run(
    corpus: Corpus, folder: str, spike: Callable[..., Mapping[str, float]]
) -> None:
    """Rewind where checkpoints lie below a URL, and beyond what another run has begun."""
    see_shared_store()
    tempfile.tempdir = folder  # what is below a URL passes through there
    first = replace(config_of(REWIND), duration=Duration(steps=FIRST_STEPS))
    _train(first, corpus, folder, "first")
    other = LastCheckpoint(f"{folder}/first/checkpoints", FIRST_STEPS)
    with Poisoned({POISONED: 100.0}):
        _train(config_of(REWIND), corpus, f"{PREFIX}{folder}", "below-url")
        _train(config_of(REWIND), corpus, folder, "gone-on", other_run=other)
    known = [known_rewind(spike(folder, "gone-on"))]
    _train(config_of(REWIND), corpus, folder, "gone-on-known", rewinds=known, other_run=other)


def resume(corpus: Corpus, folder: str) -> None:
    """Go on with the runs that were stopped and died."""
    with zero.joined_ranks(), Poisoned({POISONED: 100.0}):
        _train(config_of(REWIND), corpus, folder, "stopped")
        _train(config_of(REWIND), corpus, folder, "killed")


def _said_by(rule: RewindSpikes, corpus: Corpus, folder: str) -> str:
    try:
        _train(config_of(rule), corpus, folder, "twice")
    except StageError as error:
        return f"{error} ({error.hint})"
    return ""


def _train(
    config: TrainConfig,
    corpus: Corpus,
    folder: str,
    name: str,
    *,
    rewinds: Sequence[Rewind] = (),
    other_run: LastCheckpoint | None = None,
) -> None:
    output = f"{folder}/{name}"
    tiny_training.train(
        config, corpus, output, f"{output}/work", rewinds=rewinds, other_run=other_run
    )
