"""The loss on pairs that training does not see.

It is the loss of training, over as many negatives, without augmentation and with nothing dropped.
Batch norm takes the statistics of the block, as a step does: the running ones lag behind, are each
rank's own, and the export has others.
"""

import math
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

import torch
import torch.distributed as dist

from openalign.train import passes
from openalign.train.checkpoints.manifest import BestStep
from openalign.train.config import TrainConfig
from openalign.train.data.pairs import TrainingSet
from openalign.train.model.batch_norm import batch_norms
from openalign.train.model.loss import contrastive_loss
from openalign.train.state import TrainingState
from openalign.train.watchdog import VALIDATES, Mark


def is_due(config: TrainConfig, num_done: int, *, total_steps: int) -> bool:
    """Tell whether the pairs are looked at behind so many steps."""
    rule = config.validation
    return rule is not None and (num_done % rule.every_steps == 0 or num_done == total_steps)


def better(best: BestStep | None, loss: float, *, step: int) -> BestStep | None:
    """Return the best of those up to a step, of which the last has a loss."""
    is_better = math.isfinite(loss) and (best is None or loss < best.loss)
    return BestStep(step=step, loss=loss) if is_better else best


@torch.no_grad()
def validation_loss(state: TrainingState, pairs: TrainingSet, at: Mark) -> float:
    """Return the mean loss over all batches of held-out pairs; the same on every rank.

    All ranks must call it. It changes nothing that a step depends on.

    Raises:
        InputError: an image cannot be decoded, and is not to be replaced.
    """
    config, share, device = state.config, state.share, state.ranks.device
    assert config.validation is not None
    total = torch.zeros(1, device=device)
    made = passes.batches(pairs, share, config, 0, config.validation.batches)
    with closing(made), _nothing_dropped(state.engine):
        for batch in made:
            at(state.progress.step, VALIDATES)
            image, text, temperature = passes.embed(state.engine, batch, share, config, device)
            total += contrastive_loss(
                image,
                text,
                temperature,
                label_smoothing=config.label_smoothing,
                form=config.loss,
                rows_of_ranks=share.pairs_of_ranks,
            )
    dist.all_reduce(total)
    return float(total) / (config.validation.batches * state.ranks.world_size)


@contextmanager
def _nothing_dropped(engine: Any) -> Generator[None]:
    engine.eval()
    for layer in batch_norms(engine.module):
        layer.train()
    try:
        yield
    finally:
        engine.train()
