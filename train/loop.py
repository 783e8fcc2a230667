"""The training loop: reads the training manifest and the shards, returns trained weights.

Every rank calls `run`. The loop has no state of its own: the pairs of a step and its draws are
functions of (seed, step). A checkpoint therefore holds weights, moments and a step number.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.distributed as dist
from torch import Tensor

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.names import SKIPPED_FILE, VOCABULARY_FILE
from openalign.files.shards import ShardReader
from openalign.train import checkpoint, journal, zero
from openalign.train.config import TrainConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pairs import Batch, SampleHash, TrainingSet, read_training
from openalign.train.data.preprocess import build_tokenizer
from openalign.train.data.vocabulary import (
    learn_vocabulary,
    load_vocabulary,
    save_vocabulary,
)
from openalign.train.model.export import preprocess_of
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.pretrained import Pretrained
from openalign.train.model.towers import batch_norm_statistics, build_towers, reestimate_batch_norm
from openalign.train.optim.lamb import ShardedOptimizer, build_optimizer
from openalign.train.optim.schedule import check_warmup, learning_rate_factor, total_steps
from openalign.train.ranks import RankGroup, on_rank_0
from openalign.train.work_folder import Folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run has come to; every rank has all of it."""

    weights: Mapping[str, Tensor]
    """Parameters and buffers of the towers, whole and on the CPU."""

    vocabulary: Sequence[str]
    num_pairs: int
    """Pairs of the training manifest."""

    num_steps: int
    """Steps of the run, skipped ones included."""

    num_skipped: int
    sample_hash: str


@dataclass(slots=True, kw_only=True)
class _TrainingState:
    """A run under way: what every step needs."""

    config: TrainConfig
    ranks: RankGroup
    data: TrainingSet
    vocabulary: list[str]
    engine: Any
    optimizer: ShardedOptimizer
    total_steps: int
    progress: checkpoint.Progress
    journal: journal.Journal | None
    """On rank 0 alone."""


@dataclass(frozen=True, slots=True)
class _StepOutcome:
    """How a step ended."""

    loss: float
    gradient_norm: float

    @property
    def finite(self) -> bool:
        """Whether the step was taken."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def run(
    config: TrainConfig,
    ranks: RankGroup,
    *,
    training: Sequence[str],
    shards: ShardReader,
    folders: Folders,
    pretrained: Pretrained | None = None,
) -> Trained:
    """Train from the newest checkpoint on and return what came of it; every rank calls this.

    A run without a checkpoint begins with what is `pretrained`.

    Nobody else may be at work in `folders`: rank 0 of `rank.run` holds the stage's lock.

    Raises:
        ConfigError: the ranks cannot share the batch evenly, or the warm-up is as long as the run.
        StageError: nothing to train on, a checkpoint of another number of ranks, or too many steps
            in a row that were not finite.
    """
    zero.check_world_size(config, ranks.world_size)
    table = read_training(training)
    state = _set_up(config, ranks, table, shards=shards, folders=folders, pretrained=pretrained)
    try:
        _train(state, folders.checkpoints)
        if config.export == "ema":
            zero.take_averages(state.engine, state.optimizer)
        _settle_batch_norm(state)
        weights = zero.whole_weights(state.engine)
    finally:
        if state.journal is not None:
            state.journal.close()
        zero.stop_engine(state.engine)
    return Trained(
        weights=weights,
        vocabulary=state.vocabulary,
        num_pairs=len(state.data),
        num_steps=state.total_steps,
        num_skipped=state.progress.num_skipped,
        sample_hash=state.progress.sample_hash,
    )


def _set_up(
    config: TrainConfig,
    ranks: RankGroup,
    table: pa.Table,
    *,
    shards: ShardReader,
    folders: Folders,
    pretrained: Pretrained | None,
) -> _TrainingState:
    steps = total_steps(
        config.duration, num_pairs=table.num_rows, global_batch_size=config.global_batch_size
    )
    check_warmup(config.schedule, steps)
    folder = folders.result
    progress = checkpoint.latest(folders.checkpoints, world_size=ranks.world_size)
    preprocess = preprocess_of(config.model) if pretrained is None else pretrained.preprocess
    if pretrained is not None and pretrained.words is not None:
        vocabulary, tokenizer = pretrained.pieces(), pretrained.words.tokenizer
    else:
        vocabulary = _shared_vocabulary(config, ranks, str(folder / VOCABULARY_FILE), table)
        tokenizer = build_tokenizer(vocabulary, preprocess)
    data = TrainingSet(
        table,
        shards=shards,
        preprocess=preprocess,
        tokenizer=tokenizer,
        augmentation=config.augmentation,
        seed=config.seed,
        decode_threads=config.decode_threads,
        image_cache_mb=config.image_cache_mb,
    )
    towers = build_towers(config, vocabulary_size=len(vocabulary), pretrained=pretrained)
    optimizer = build_optimizer(towers, config)
    engine = zero.start_engine(towers, optimizer, config, ranks)
    if progress.step:
        checkpoint.load(engine, folders.checkpoints)
    return _TrainingState(
        config=config,
        ranks=ranks,
        data=data,
        vocabulary=vocabulary,
        engine=engine,
        optimizer=optimizer,
        total_steps=steps,
        progress=progress,
        journal=journal.Journal(folder, first_step=progress.step, total_steps=steps)
        if ranks.rank == 0
        else None,
    )


def _shared_vocabulary(
    config: TrainConfig, ranks: RankGroup, url: str, table: pa.Table
) -> list[str]:
    """Have rank 0 learn the vocabulary, once, and every rank read it."""

    def learn() -> None:
        if not storage.exists(url):
            model = config.model
            save_vocabulary(
                url,
                learn_vocabulary(
                    table["alt_text"].unique().to_pylist(),
                    size=model.vocabulary_size,
                    lowercase=model.lowercase,
                ),
            )

    on_rank_0(ranks, learn)
    return load_vocabulary(url)


def _train(state: _TrainingState, checkpoints: Path) -> None:
    config, progress = state.config, state.progress
    batches = state.data.batches(
        progress.step,
        state.total_steps,
        global_batch_size=config.global_batch_size,
        rank=state.ranks.rank,
        world_size=state.ranks.world_size,
    )
    samples = SampleHash(progress.sample_hash)
    state.engine.train()
    with closing(batches):
        asked = time.monotonic()
        for batch in batches:
            waited = time.monotonic() - asked
            outcome = _step(state, batch)
            keys = _global_keys(state, batch.step)
            samples.update(keys)
            _count(state, batch.step, outcome, keys)
            progress.step, progress.sample_hash = batch.step + 1, samples.hexdigest
            _report(state, batch.step, outcome, waited)
            if progress.step == state.total_steps or not (
                progress.step % config.checkpoint_every_steps
            ):
                checkpoint.save(state.engine, checkpoints, progress, keep=config.keep_checkpoints)
            asked = time.monotonic()


def _step(state: _TrainingState, batch: Batch) -> _StepOutcome:
    """Take one step; where it is not finite on any rank, change nothing."""
    config, engine, optimizer = state.config, state.engine, state.optimizer
    torch.manual_seed(seed_at(config.seed, 1, batch.step, state.ranks.rank))
    statistics = batch_norm_statistics(engine.module)
    before = [buffer.clone() for buffer in statistics]
    image, text, temperature = _forward(state, batch)
    loss = contrastive_loss(image, text, temperature, label_smoothing=config.label_smoothing)
    mean = float(_mean_over_ranks(loss.detach()))
    factor = learning_rate_factor(
        batch.step, total_steps=state.total_steps, schedule=config.schedule
    )
    optimizer.set_factor(factor)
    norm = zero.take_step(engine, optimizer, loss) if math.isfinite(mean) else math.nan
    outcome = _StepOutcome(mean, norm)
    if not outcome.finite:
        torch._foreach_copy_(statistics, before)
    return outcome


def _forward(state: _TrainingState, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    to = partial(torch.Tensor.to, device=state.ranks.device, non_blocking=True)
    return state.engine(to(batch.pixels), to(batch.tokens.ids), to(batch.tokens.mask))


def _mean_over_ranks(value: Tensor) -> Tensor:
    mean = value.clone()
    dist.all_reduce(mean)
    return mean / dist.get_world_size()


def _global_keys(state: _TrainingState, step: int) -> list[str]:
    """Return the keys of the whole global batch on rank 0, and nothing on the others."""
    if state.ranks.rank != 0:
        return []
    start = step * state.config.global_batch_size
    return state.data.keys(state.data.rows(start, start + state.config.global_batch_size))


def _count(state: _TrainingState, step: int, outcome: _StepOutcome, keys: list[str]) -> None:
    """Count the steps that were skipped; every rank has the same counts.

    Raises:
        StageError: too many in a row.
    """
    progress = state.progress
    if outcome.finite:
        progress.nonfinite_in_a_row = 0
        return
    progress.nonfinite_in_a_row += 1
    progress.num_skipped += 1
    if state.journal is not None:
        state.journal.skipped(step, keys)
    if progress.nonfinite_in_a_row >= state.config.nonfinite_steps_in_a_row:
        raise StageError(
            f"training stopped at step {step}: the loss or gradient of "
            f"{progress.nonfinite_in_a_row} steps in a row was not finite",
            hint=f"{SKIPPED_FILE} names their pairs; a lower learning rate, a longer "
            "warm-up or `train.gradient_clipping` helps where the data is sound",
        )


def _report(state: _TrainingState, step: int, outcome: _StepOutcome, waited: float) -> None:
    temperature = float(_temperature(state))  # every rank: stage 3 gathers it
    if state.journal is None:
        return
    config = state.config
    due = (step + 1) % config.log_every_steps == 0 or step + 1 == state.total_steps
    if outcome.finite and due:
        seen = (step + 1) * config.global_batch_size
        values = {
            journal.LOSS: outcome.loss,
            journal.TEMPERATURE: temperature,
            journal.LEARNING_RATE: state.optimizer.learning_rate,
            journal.GRADIENT_NORM: outcome.gradient_norm,
            journal.EPOCH: seen / len(state.data),
        }
        spread = state.optimizer.trust_ratios.smallest_and_largest()
        if spread is not None:
            values[journal.TRUST_RATIO_MIN], values[journal.TRUST_RATIO_MAX] = spread
        state.journal.step(step, values)
    state.journal.passed(
        step,
        num_samples=config.global_batch_size,
        waited=waited,
        shown=f"loss {outcome.loss:.3f}  temperature {temperature:.4f}",
    )


def _temperature(state: _TrainingState) -> Tensor:
    return zero.whole_parameter(state.engine.module.temperature)


def _settle_batch_norm(state: _TrainingState) -> None:
    """Estimate the batch-norm statistics again, on the first batches of the order."""
    config = state.config
    batches = state.data.batches(
        0,
        config.batch_norm_batches,
        global_batch_size=config.global_batch_size,
        rank=state.ranks.rank,
        world_size=state.ranks.world_size,
    )
    forward: Callable[[Batch], object] = partial(_forward, state)
    with closing(batches):
        reestimate_batch_norm(state.engine.module, forward, batches)
