"""The forward passes of a step: which blocks a rank has, and what each is run with.

A global batch is cut into blocks of equal size. What is drawn for a block and how its texts are
padded are functions of the seed, the step and the block's number in the global batch. So a step
computes the same on any number of ranks, but for the rounding of its sums.

A rank with one block takes one plain pass. A rank with several takes them one after the other, and
each once more in the backward pass (gradient caching: Gao et al., "Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup", 2021), as part of one graph: ZeRO reduces
gradients once a step.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from openalign.train.block_shares import BlockShare
from openalign.train.config import TrainConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pairs import Batch, TrainingSet
from openalign.train.model.batch_norm import move_running_statistics, reestimate_batch_norm
from openalign.train.model.towers import Pass, Towers


def block_passes(share: BlockShare, *, seed: int, step: int) -> list[Pass]:
    """Return the forward passes over this rank's part of a step's batch, without a text."""
    found: list[Pass] = []
    for number in range(share.num_passes):
        own = number if number < share.num_blocks else 0  # a pass for the other ranks' sake
        found.append(
            Pass(
                start=own * share.block_size,
                stop=(own + 1) * share.block_size,
                num_tokens=0,
                seed=seed_at(seed, 1, step, share.first + own),
                counts=number < share.num_blocks,
            )
        )
    return found


def passes_of(config: TrainConfig, share: BlockShare, batch: Batch) -> list[Pass]:
    """Return the forward passes over this rank's part of a batch of pairs."""
    mask = batch.tokens.mask

    def longest(each: Pass) -> int:
        return mask.shape[1] if config.compile else int(mask[each.start : each.stop].sum(1).max())

    passes = block_passes(share, seed=config.seed, step=batch.step)
    return [each._replace(num_tokens=longest(each)) for each in passes]


def batches(
    data: TrainingSet, share: BlockShare, config: TrainConfig, first_step: int, last_step: int
) -> Generator[Batch]:
    """Yield this rank's part of each step before `last_step`; close it when leaving early."""
    return data.batches(
        first_step,
        last_step,
        global_batch_size=config.global_batch_size,
        start=share.start,
        num_pairs=share.num_pairs,
    )


def embed(
    engine: Any, batch: Batch, share: BlockShare, config: TrainConfig, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `image_BD` and `text_BD` of this rank's pairs, in order, and the temperature.

    All ranks must call it. One backward pass through what it returns goes through every block.
    """
    pixels, ids, mask = (
        given.to(device, non_blocking=True)
        for given in (batch.pixels, batch.tokens.ids, batch.tokens.mask)
    )
    return engine(pixels, ids, mask, passes=passes_of(config, share, batch))


def move_statistics(engine: Any, share: BlockShare) -> None:
    """Move the running batch-norm statistics by the step whose passes were the last."""
    towers = engine.module
    move_running_statistics(towers, towers.statistics_of_passes, share=share.weight)


def settle_statistics(
    engine: Any, towers: Towers, data: TrainingSet, share: BlockShare, config: TrainConfig
) -> None:
    """Estimate the batch-norm statistics again, on the first batches of the order.

    `engine` runs the towers, or is them. All ranks must call it.
    """
    made = batches(data, share, config, 0, config.batch_norm_batches)

    def statistics() -> Iterator[list[Tensor]]:
        for batch in made:
            embed(engine, batch, share, config, towers.temperature.device)
            yield towers.statistics_of_passes

    with closing(made):
        reestimate_batch_norm(
            towers, statistics(), num_passes=config.batch_norm_batches * config.num_blocks
        )
