"""The loss on pairs that training does not see.

It is the loss of training, over as many negatives, without augmentation and with nothing dropped.
Batch norm takes the statistics of the block, as a step does: the running ones lag behind, are each
rank's own, and the export has others.

A look is part of the step that follows: a run that goes on from a checkpoint takes it again, and
one that is asked to stop leaves it to the next start.
"""

import math
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

import torch
import torch.distributed as dist

from openalign.telemetry import say
from openalign.train import journal, passes
from openalign.train.checkpoints.manifest import BestStep
from openalign.train.data.pairs import TrainingSet
from openalign.train.model.batch_norm import batch_norms
from openalign.train.model.loss import contrastive_loss
from openalign.train.state import TrainingState
from openalign.train.watchdog import VALIDATES, Mark


def look(state: TrainingState, at: Mark) -> float | None:
    """Return the loss on held-out pairs where it is time for one, and note whether it is the best.

    All ranks must call it before each step and behind the last, and it is the same on all of them.

    Raises:
        InputError: an image cannot be decoded, and is not to be replaced.
    """
    rule, progress = state.config.validation, state.progress
    if rule is None or state.held_out is None or progress.step == progress.first_step:
        return None
    if progress.step % rule.every_steps and progress.step != state.total_steps:
        return None
    loss = validation_loss(state, state.held_out, at, num_batches=rule.batches)
    progress.best = better(progress.best, loss, step=progress.step)
    if state.journal is not None:
        say(f"train     {_words(state, loss)}")
    return loss


def better(best: BestStep | None, loss: float, *, step: int) -> BestStep | None:
    """Return the best of those up to a step, of which the last has a loss."""
    is_better = math.isfinite(loss) and (best is None or loss < best.loss)
    return BestStep(step=step, loss=loss) if is_better else best


def validation_values(loss: float | None) -> dict[str, float]:
    """Return what a line of metrics has of a look: a loss that is finite, or nothing."""
    return {journal.VALIDATION_LOSS: loss} if loss is not None and math.isfinite(loss) else {}


@torch.no_grad()
def validation_loss(
    state: TrainingState, pairs: TrainingSet, at: Mark, *, num_batches: int
) -> float:
    """Return the mean loss over some batches of pairs; it changes nothing that a step depends on.

    Images that give way to others are named at each look.
    """
    config, share, device = state.config, state.share, state.ranks.device
    total = torch.zeros(1, device=device)
    at(state.progress.step, VALIDATES)
    made = passes.batches(pairs, share, config, 0, num_batches)
    with closing(made), _nothing_dropped(state.engine):
        for batch in made:
            at(state.progress.step, VALIDATES)
            state.name_replaced(batch, step=state.progress.step, is_trained=False)
            image, text, temperature = passes.embed(state.engine, batch, share, config, device)
            total += contrastive_loss(
                image,
                text,
                temperature,
                label_smoothing=config.label_smoothing,
                form=config.loss,
                rows_of_ranks=share.pairs_of_ranks,
                # Two pairs are of one image where another has taken the place of one.
                image_ids_B=batch.image_ids.to(device, non_blocking=True),
            )
    dist.all_reduce(total)
    return float(total) / (num_batches * state.ranks.world_size)


@contextmanager
def _nothing_dropped(engine: Any) -> Generator[None]:
    engine.eval()
    for layer in batch_norms(engine.module):
        layer.train()
    try:
        yield
    finally:
        engine.train()


def _words(state: TrainingState, loss: float) -> str:
    best, num_done = state.progress.best, state.progress.step
    words = f"validation loss {loss:.3f} after {num_done:,} of {state.total_steps:,} steps"
    if best is None:
        return words
    if best.step == num_done:
        return f"{words}, the lowest so far"
    return f"{words}; the lowest is {best.loss:.3f}, after {best.step:,}"
