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
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from openalign.errors import ConfigError
from openalign.train.config import TrainConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pairs import Batch, TrainingSet
from openalign.train.model.batch_norm import move_running_statistics, reestimate_batch_norm
from openalign.train.model.towers import Pass, Towers
from openalign.train.presets import SyncBatchNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShare:
    """The blocks of every global batch that a rank has: consecutive ones."""

    block_size: int
    first: int
    num_blocks: int
    num_passes: int
    """Forward passes of a step: under ZeRO-3, whose passes gather parameters, as many as any
    rank's; else one a block."""

    weight: float
    """Ranks a block: what a block counts for in a mean over ranks."""

    pairs_of_ranks: tuple[int, ...]
    """Pairs that each rank has."""

    @property
    def start(self) -> int:
        """Place of the first pair in the global batch."""
        return self.first * self.block_size

    @property
    def num_pairs(self) -> int:
        """Pairs of this rank."""
        return self.num_blocks * self.block_size


def block_share(config: TrainConfig, *, rank: int, world_size: int) -> BlockShare:
    """Return the blocks of a rank; the first ranks have one more where they do not divide evenly.

    Raises:
        ConfigError: there are fewer blocks than ranks, or `sync` batch norm and uneven shares.
    """
    total, size = config.num_blocks, config.pairs_per_block
    least, num_larger = divmod(total, world_size)
    if least == 0:
        raise ConfigError(
            f"{world_size} ranks cannot share {total} block{'s' * (total > 1)} of {size} pairs: "
            f"`train.global_batch_size` is {config.global_batch_size}",
            hint=f"set `train.num_processes` to {total} at most, or `train.block_size` to "
            f"{config.global_batch_size // world_size} or less, which makes another model",
        )
    if num_larger and isinstance(config.model.image_tower.batch_norm, SyncBatchNorm):
        raise ConfigError(
            f"`train.model.image_tower.batch_norm` is sync, and {world_size} ranks cannot share "
            f"{total} blocks evenly: the ranks normalize one block each at a time",
            hint="choose a number of ranks that divides the blocks, or local or ghost batch norm",
        )
    num_blocks = least + (rank < num_larger)
    most = least + (num_larger > 0)
    return BlockShare(
        block_size=size,
        first=rank * least + min(rank, num_larger),
        num_blocks=num_blocks,
        num_passes=most if config.zero.stage == 3 else num_blocks,
        weight=world_size / total,
        pairs_of_ranks=tuple(size * (least + (n < num_larger)) for n in range(world_size)),
    )


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
