"""The training loop: reads the training index and the shards, returns trained weights.

Every rank calls `run`. The loop has no state of its own: the pairs of a step and its draws are
functions of (seed, step). A checkpoint therefore holds weights, moments and a step number.
"""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from openalign.errors import StageError
from openalign.files.names import REPLACED_FILE, SKIPPED_FILE, VOCABULARY_FILE
from openalign.files.shards import ShardReader
from openalign.telemetry import JsonLines
from openalign.train import checkpoint, journal, zero
from openalign.train.config import TrainConfig
from openalign.train.data.index import TrainingIndex
from openalign.train.data.order import RowNumbers, seed_at
from openalign.train.data.pairs import Batch, TrainingSet, check_batch_size
from openalign.train.data.preprocess import build_tokenizer
from openalign.train.data.sample_hash import hashes_after
from openalign.train.data.vocabulary import save_vocabulary
from openalign.train.model.export import preprocess_of
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.towers import batch_norm_statistics, build_towers, reestimate_batch_norm
from openalign.train.optim.lamb import ShardedOptimizer, build_optimizer
from openalign.train.optim.schedule import check_warmup, learning_rate_factor, total_steps
from openalign.train.ranks import RankGroup
from openalign.train.work_folder import Folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run has come to; every rank has all of it."""

    weights: Mapping[str, Tensor]
    """Parameters and buffers of the towers, whole and on the CPU."""

    vocabulary: Sequence[str]
    num_pairs: int
    """Pairs of the training index."""

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
    vocabulary: Sequence[str]
    replaced: JsonLines
    """Names the pairs of this rank whose images were replaced."""

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
    num_replaced: int
    """Images of the global batch that could not be decoded."""

    unknown_share: float
    """Of the global batch's word pieces."""

    @property
    def finite(self) -> bool:
        """Whether the step was taken."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def run(
    config: TrainConfig,
    ranks: RankGroup,
    *,
    index: TrainingIndex,
    first_hash: str,
    vocabulary: Sequence[str],
    shards: ShardReader,
    folders: Folders,
) -> Trained:
    """Train from the newest checkpoint on and return what came of it; every rank calls this.

    Nobody else may be at work in `folders`: rank 0 of `rank.run` holds the stage's lock.
    `first_hash` is the sample hash before the first step.

    Raises:
        ConfigError: the ranks cannot share the batch evenly, it is larger than the data, or the
            warm-up is as long as the run.
        StageError: a checkpoint of another number of ranks, or too many steps in a row that were
            not finite.
    """
    zero.check_world_size(config, ranks.world_size)
    check_batch_size(config.global_batch_size, num_pairs=len(index))
    data = _open_pairs(config, index, vocabulary, shards)
    state = _set_up(config, ranks, data, vocabulary, first_hash=first_hash, folders=folders)
    try:
        _train(state, folders.checkpoints)
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


def _open_pairs(
    config: TrainConfig, index: TrainingIndex, vocabulary: Sequence[str], shards: ShardReader
) -> TrainingSet:
    preprocess = preprocess_of(config.model)
    return TrainingSet(
        index,
        shards=shards,
        preprocess=preprocess,
        tokenizer=build_tokenizer(vocabulary, preprocess),
        augmentation=config.augmentation,
        seed=config.seed,
        decode_threads=config.decode_threads,
        image_cache_mb=config.image_cache_mb,
        replace_after=config.global_batch_size if config.bad_images == "replace" else 0,
    )


def _set_up(
    config: TrainConfig,
    ranks: RankGroup,
    data: TrainingSet,
    vocabulary: Sequence[str],
    *,
    first_hash: str,
    folders: Folders,
) -> _TrainingState:
    steps = total_steps(
        config.duration, num_pairs=len(data), global_batch_size=config.global_batch_size
    )
    check_warmup(config.schedule, steps)
    progress = checkpoint.latest(folders.checkpoints, world_size=ranks.world_size)
    progress.sample_hash = progress.sample_hash or first_hash
    if ranks.rank == 0:
        save_vocabulary(str(folders.result / VOCABULARY_FILE), vocabulary)
    towers = build_towers(config, vocabulary_size=len(vocabulary))
    optimizer = build_optimizer(towers, config)
    engine = zero.start_engine(towers, optimizer, config, ranks)
    if progress.step:
        checkpoint.load(engine, folders.checkpoints)
    return _TrainingState(
        config=config,
        ranks=ranks,
        data=data,
        vocabulary=vocabulary,
        replaced=JsonLines(folders.result / REPLACED_FILE),
        engine=engine,
        optimizer=optimizer,
        total_steps=steps,
        progress=progress,
        journal=journal.Journal(folders.result, first_step=progress.step, total_steps=steps)
        if ranks.rank == 0
        else None,
    )


def _train(state: _TrainingState, checkpoints: Path) -> None:
    config, progress = state.config, state.progress
    batches = state.data.batches(
        progress.step,
        state.total_steps,
        global_batch_size=config.global_batch_size,
        rank=state.ranks.rank,
        world_size=state.ranks.world_size,
    )
    hashes = _sample_hashes(state)
    state.engine.train()
    with closing(batches), closing(hashes):
        asked = time.monotonic()
        for batch in batches:
            waited = time.monotonic() - asked
            outcome = _step(state, batch)
            _name_replaced(state, batch)
            _count(state, batch.step, outcome)
            progress.step, progress.sample_hash = batch.step + 1, next(hashes)
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
    mean, *tallies = _sums_over_ranks(loss.detach() / state.ranks.world_size, batch)
    num_replaced, num_unknown, num_pieces = map(int, tallies)
    factor = learning_rate_factor(
        batch.step, total_steps=state.total_steps, schedule=config.schedule
    )
    optimizer.set_factor(factor)
    norm = zero.take_step(engine, optimizer, loss) if math.isfinite(mean) else math.nan
    outcome = _StepOutcome(mean, norm, num_replaced, num_unknown / max(num_pieces, 1))
    if not outcome.finite:
        torch._foreach_copy_(statistics, before)
    return outcome


def _forward(state: _TrainingState, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    to = partial(torch.Tensor.to, device=state.ranks.device, non_blocking=True)
    return state.engine(to(batch.pixels), to(batch.tokens.ids), to(batch.tokens.mask))


def _sums_over_ranks(loss: Tensor, batch: Batch) -> list[float]:
    """Return the sum of the ranks' losses, and of what is counted of their batches.

    One collective carries all of it. Counts stay far below 2**24, where fp32 is exact.
    """
    counts = loss.new_tensor([len(batch.replaced), batch.num_unknown, batch.num_pieces])
    sums = torch.cat([loss.reshape(1), counts])
    dist.all_reduce(sums)
    return sums.tolist()


def _global_rows(state: _TrainingState, step: int) -> RowNumbers:
    size = state.config.global_batch_size
    return state.data.rows(step * size, (step + 1) * size)


def _sample_hashes(state: _TrainingState) -> Generator[str]:
    """Return the sample hash after each step that is left."""
    steps = range(state.progress.step, state.total_steps)
    return hashes_after(state.progress.sample_hash, steps, partial(_global_rows, state))


def _name_replaced(state: _TrainingState, batch: Batch) -> None:
    for pair in batch.replaced:
        state.replaced.write(
            step=batch.step,
            position=pair.position,
            key=pair.key,
            shard=pair.place.shard,
            offset=pair.place.offset,
            why=pair.why,
        )


def _count(state: _TrainingState, step: int, outcome: _StepOutcome) -> None:
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
        state.journal.skipped(step, state.data.keys(_global_rows(state, step)))
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
            journal.LEARNING_RATE: state.optimizer.param_groups[0]["lr"],
            journal.GRADIENT_NORM: outcome.gradient_norm,
            journal.EPOCH: seen / len(state.data),
            journal.UNKNOWN_SHARE: outcome.unknown_share,
        }
        if config.bad_images == "replace":
            values[journal.REPLACED] = outcome.num_replaced
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
