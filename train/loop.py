"""The training loop: reads the training index and the shards, returns trained weights.

Every rank calls `run`. The loop has no state of its own: the pairs of a step and its draws are
functions of the seed, the step and the batches that are passed over. A checkpoint therefore holds
weights, moments and a short record of how far the run is.
"""

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from openalign.errors import StageError
from openalign.files.names import REWOUND_FILE, SKIPPED_FILE
from openalign.telemetry import say
from openalign.train import passes, zero
from openalign.train.checkpoints import resume
from openalign.train.checkpoints.manifest import Rewind
from openalign.train.config import TrainConfig
from openalign.train.data.order import RowNumbers
from openalign.train.data.pairs import Batch
from openalign.train.data.passed_over import batch_at
from openalign.train.data.sample_hash import hashes_after
from openalign.train.model.batch_norm import average_batch_norm
from openalign.train.model.loss import contrastive_loss
from openalign.train.optim.lamb import EMA
from openalign.train.optim.schedule import learning_rate_factor
from openalign.train.ranks import RankGroup, together
from openalign.train.spikes import remembered, spike_at
from openalign.train.state import RunInputs, TrainingState, set_up
from openalign.train.step_report import StepOutcome, report
from openalign.train.stopping import StopRequests, seconds_gone, stop_behind, stop_requests
from openalign.train.updates import RewindSpikes
from openalign.train.validation import look, validation_values
from openalign.train.watchdog import COMPUTES, MEETS, READS, SAVES, SETTLES, Mark, watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run has come to; every rank has all of it."""

    weights: Mapping[str, Tensor]
    """Parameters and buffers of the towers, whole and on the CPU."""

    vocabulary: Sequence[str]
    num_pairs: int
    """Pairs that the run could draw."""

    num_held_out: int
    """Pairs of the training index that it could not, because they, or others of their images, were
    validated on."""

    num_positions: int
    """Places in the order of pairs that the run has passed."""

    num_steps: int
    """Steps of the run, skipped ones included."""

    num_skipped: int
    sample_hash: str
    exported_step: int | None
    """Steps that led to the weights, where they are the best in validation."""


def run(
    config: TrainConfig, ranks: RankGroup, inputs: RunInputs, *, rewinds: Sequence[Rewind] = ()
) -> Trained:
    """Train from the newest checkpoint on and return what came of it; every rank calls this.

    `rewinds` are spikes that are known beforehand.

    Raises:
        ConfigError: the ranks cannot share the blocks, the batch is larger than the data, or the
            warm-up is as long as the run.
        StageError: no checkpoint is whole, there is no room for one, too many steps in a row were
            not finite, or too many spikes were told.
        Stopped: the run was asked to stop, and has saved a checkpoint.
    """
    ended = _run_to_spike(config, ranks, inputs, rewinds)
    while not isinstance(ended, Trained):
        ended = _run_to_spike(config, ranks, inputs, ended)
    return ended


def _run_to_spike(
    config: TrainConfig, ranks: RankGroup, inputs: RunInputs, rewinds: Sequence[Rewind]
) -> Trained | Sequence[Rewind]:
    """Train to the end, or to a spike for which steps are undone; then return all rewinds."""
    with ExitStack() as held:
        at = held.enter_context(watched(ranks, minutes=config.hang_minutes))
        state = set_up(config, ranks, inputs, at, rewinds=rewinds)
        held.enter_context(closing(state))
        held.enter_context(_failed_checkpoints_told(state))
        rewind = _train(state, at)
        at(state.progress.step, SAVES)
        state.saver.wait()
        if rewind is not None:
            return [*state.progress.rewinds, rewind]
        state.saver.name_replaced(state.replaced)  # at the last look, behind all checkpoints
        engine = state.engine
        settling = partial(_settle_pass, engine, at, state.total_steps)
        if config.export == "ema":
            zero.show_weights(engine, state.optimizer, EMA)
        elif config.export == "best":
            _show_best(state, at)
        passes.settle_statistics(settling, engine.module, state.data, state.share, config)
        weights = zero.whole_weights(engine)
    return Trained(
        weights=weights,
        vocabulary=state.vocabulary,
        num_pairs=len(state.data),
        num_held_out=len(inputs.index) - len(state.data),
        num_positions=state.data.first_position(
            state.total_steps - 1, global_batch_size=config.global_batch_size
        )
        + config.global_batch_size,
        num_steps=state.total_steps,
        num_skipped=state.progress.num_skipped,
        sample_hash=state.progress.sample_hash,
        exported_step=state.best_step if config.export == "best" else None,
    )


@contextmanager
def _failed_checkpoints_told(state: TrainingState) -> Generator[None]:
    """Raise what failed a checkpoint in place of what came of it.

    A rank that knew of it first has ended, and broken the connection.
    """
    try:
        yield
    except RuntimeError:
        state.saver.check()
        raise


def _settle_pass(engine: Any, at: Mark, step: int, *inputs: Any, **options: Any) -> Any:
    at(step, SETTLES)
    return engine(*inputs, **options)


def _train(state: TrainingState, at: Mark) -> Rewind | None:
    """Take the steps that are left, or those up to a spike for which some are to be undone."""
    config, progress = state.config, state.progress
    batches = passes.batches(state.data, state.share, config, progress.step, state.total_steps)
    hashes = _sample_hashes(state)
    state.engine.train()
    with (
        closing(batches),
        closing(hashes),
        stop_requests(config.stop, gone=seconds_gone()) as stops,
    ):
        at(progress.step, READS)
        asked = time.monotonic()
        for batch in batches:
            state.saver.check()
            waited = time.monotonic() - asked
            seen = _looked(state, at)
            outcome = _step(state, batch, at=at, stop=stops.are_there() or state.saver.is_refused())
            rewind = _rewind_for(state, batch.step, outcome)
            if rewind is None:
                state.name_replaced(batch, step=batch.step, is_trained=True)
                _count(state, batch.step, outcome)
                progress.step, progress.sample_hash = batch.step + 1, next(hashes)
                report(state, batch.step, outcome, validation_loss=seen, waited=waited)
            elif not outcome.stop:  # else the next start comes to the spike again
                return rewind
            ended = progress.step == state.total_steps
            if ended or outcome.stop or progress.step % config.checkpoint_every_steps == 0:
                _save(state, at)
            if outcome.stop:
                _stop(state, stops)
            at(progress.step, READS)
            asked = time.monotonic()
        # Behind the last step too: the statistics and the export would come next.
        if any(together(stops.are_there)):
            _stop(state, stops)
        values = validation_values(_looked(state, at))
        if values and state.journal is not None:
            state.journal.step(state.total_steps, values)
    return None


def _looked(state: TrainingState, at: Mark) -> float | None:
    """Look at the held-out pairs, where it is time; what is best is saved if it is exported."""
    loss = look(state, at)
    is_best = loss is not None and state.best_step == state.progress.step
    if is_best and state.config.export == "best":
        _save(state, at)
    return loss


def _save(state: TrainingState, at: Mark) -> None:
    """Have a checkpoint written, unless there is one."""
    progress = state.progress
    if progress.step == state.saved_step:
        return
    at(progress.step - 1, SAVES)
    average_batch_norm(state.engine.module)
    if state.journal is not None:
        progress.num_lines = dict(state.journal.num_lines)
    state.saver.save(state.engine, state.optimizer, progress, state.replaced)
    state.replaced = []
    state.saved_step = progress.step


def _show_best(state: TrainingState, at: Mark) -> None:
    """Let the towers have the weights of the lowest loss in validation.

    Raises:
        StageError: no such loss was finite, or that checkpoint is damaged or cannot be reached.
    """
    best = state.progress.best
    kept = f"`openalign export NAME --step {state.total_steps}` writes the weights of the last step"
    if best is None:
        raise StageError("`train.export` is best, and no loss in validation was finite", hint=kept)
    if best.step == state.total_steps:
        return
    at(state.total_steps, SAVES)  # a checkpoint is read, which may take as long as to write one
    try:
        found = resume.find(state.saver.folder, best.step, state.ranks)
    except StageError as error:
        hint = f"{error.hint}; or {kept}" if error.hint else kept
        raise StageError(f"the best weights cannot be taken: {error}", hint=hint) from error
    found.load_weights(state.engine, state.optimizer)
    together(lambda: None)  # until all have read
    found.forget()


def _stop(state: TrainingState, stops: StopRequests) -> NoReturn:
    """End the run, once its checkpoint is whole."""
    state.saver.wait()
    says, step = state.ranks.rank == 0, state.progress.step
    total, is_late = state.total_steps, stops.is_late
    stop_behind(step, total, words="train    ", says=says, is_late=is_late)


def _step(state: TrainingState, batch: Batch, *, at: Mark, stop: bool) -> StepOutcome:
    """Take one step; where it is a spike, or not finite on any rank, change nothing.

    `stop` tells that this rank is asked to stop behind it.
    """
    config, engine, optimizer = state.config, state.engine, state.optimizer
    at(batch.step, COMPUTES)
    image, text, temperature = passes.embed(engine, batch, state.share, config, state.ranks.device)
    at(batch.step, MEETS)
    loss = contrastive_loss(
        image,
        text,
        temperature,
        label_smoothing=config.label_smoothing,
        form=config.loss,
        rows_of_ranks=state.share.pairs_of_ranks,
        image_ids_B=_image_ids(state, batch),
    )
    counts = (int(stop), len(batch.replaced), batch.num_unknown, batch.num_pieces)
    sums = _sums_over_ranks(loss.detach() / state.ranks.world_size, counts)
    # The one wait for the device that is ours: a step's loss and its temperature come together.
    mean, *tallies, used_temperature = torch.cat([sums, temperature.detach()]).tolist()
    num_stops, num_replaced, num_unknown, num_pieces = map(int, tallies)
    factor = learning_rate_factor(
        batch.step, total_steps=state.total_steps, schedule=config.schedule
    )
    optimizer.set_factor(factor)
    rule, recent = config.loss_spikes, state.progress.recent_losses
    spike = None if rule is None else spike_at(mean, recent, rule)
    is_taken = math.isfinite(mean) and spike is None
    norm = zero.take_step(engine, optimizer, loss) if is_taken else math.nan
    outcome = StepOutcome(
        loss=mean,
        gradient_norm=norm,
        temperature=used_temperature,
        num_replaced=num_replaced,
        num_pieces=num_pieces,
        num_unknown=num_unknown,
        stop=num_stops > 0,
        spike=spike,
    )
    if outcome.taken:
        passes.move_statistics(engine, state.share)
    return outcome


def _image_ids(state: TrainingState, batch: Batch) -> Tensor | None:
    """Return which image each pair has, where the loss is to know.

    Where pairs of one image are negatives of each other, every row has an image of its own, and the
    loss is to know in batches that may hold a row twice: a pair is no negative of itself.
    """
    config = state.config
    if config.same_image_negatives == "mask":
        ids = batch.image_ids
    elif state.data.may_repeat(batch.step, global_batch_size=config.global_batch_size):
        ids = torch.from_numpy(batch.rows)
    else:
        return None
    return ids.to(state.ranks.device, non_blocking=True)


def _sums_over_ranks(loss: Tensor, counts: Sequence[int]) -> Tensor:
    """Return the sum of the ranks' losses, and of each of their counts.

    One collective carries all of it. Counts stay far below 2**24, where fp32 is exact.
    """
    on_host = torch.tensor(counts, dtype=loss.dtype)
    sums = torch.cat([loss.reshape(1), on_host.to(loss.device, non_blocking=True)])
    dist.all_reduce(sums)
    return sums


def _global_rows(state: TrainingState, step: int) -> RowNumbers:
    size = state.config.global_batch_size
    first = state.data.first_position(step, global_batch_size=size)
    return state.data.rows(first, first + size)


def _sample_hashes(state: TrainingState) -> Generator[str]:
    """Return the sample hash after each step that is left."""
    steps = range(state.progress.step, state.total_steps)
    return hashes_after(state.progress.sample_hash, steps, partial(_global_rows, state))


def _rewind_for(state: TrainingState, step: int, outcome: StepOutcome) -> Rewind | None:
    """Return what is to be undone for a spike; the same on every rank.

    Raises:
        StageError: too many spikes.
    """
    rule, spike, progress = state.config.loss_spikes, outcome.spike, state.progress
    if spike is None or not isinstance(rule, RewindSpikes):
        return None
    num_before = sum(each.step >= progress.first_step for each in progress.rewinds)
    if num_before >= rule.at_most:
        raise StageError(
            f"training stopped at step {step}: its loss, {spike.loss:.3f}, is a spike, and steps "
            f"were undone for {num_before} others already",
            hint=f"{REWOUND_FILE} names their pairs; a lower learning rate, a longer warm-up or "
            "`train.gradient_clipping` helps where the data is sound, and a larger "
            "`train.loss_spikes.at_most` goes on from the newest checkpoint",
        )
    back_to = max(progress.first_step, step + 1 - rule.undone_steps)
    if state.journal is not None:
        say(
            f"step {step} is a spike: its loss is {spike.loss:.3f}, and was {spike.mean:.3f} "
            f"(deviation {spike.deviation:.3f}) before; goes back to step {back_to}, and on with "
            "other pairs"
        )
    passed_over = progress.passed_over
    return Rewind(
        step=step,
        **spike._asdict(),
        back_to=back_to,
        first_batch=batch_at(back_to, passed_over),
        stop_batch=batch_at(step, passed_over) + 1,
    )


def _count(state: TrainingState, step: int, outcome: StepOutcome) -> None:
    """Count the steps that were skipped; every rank has the same counts.

    Raises:
        StageError: too many in a row that were not finite.
    """
    progress, spike, rule = state.progress, outcome.spike, state.config.loss_spikes
    if rule is not None:
        progress.recent_losses = remembered(progress.recent_losses, outcome.loss, rule)
    if outcome.taken or spike is not None:
        progress.nonfinite_in_a_row = 0
    else:
        progress.nonfinite_in_a_row += 1
    if outcome.taken:
        return
    progress.num_skipped += 1
    if state.journal is not None:
        why = "its loss or gradient was not finite"
        if spike is not None:
            why = f"its loss, {spike.loss:.3f}, is a spike: it was {spike.mean:.3f} before"
        state.journal.skipped(step, state.data.keys(_global_rows(state, step)), why=why)
    if progress.nonfinite_in_a_row >= state.config.nonfinite_steps_in_a_row:
        raise StageError(
            f"training stopped at step {step}: the loss or gradient of "
            f"{progress.nonfinite_in_a_row} steps in a row was not finite",
            hint=f"{SKIPPED_FILE} names their pairs; a lower learning rate, a longer "
            "warm-up or `train.gradient_clipping` helps where the data is sound",
        )
