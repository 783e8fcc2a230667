"""Which blocks of a global batch each rank has, without torch: a starter asks too."""

from dataclasses import dataclass

from openalign.errors import ConfigError
from openalign.train.config import TrainConfig
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
        batch = config.global_batch_size
        largest = max((n for n in range(1, batch // world_size + 1) if batch % n == 0), default=0)
        smaller = f", or `train.block_size` to {largest} or less, which makes another model"
        raise ConfigError(
            f"{world_size} ranks cannot share {total} block{'s' * (total > 1)} of {size} pairs: "
            f"`train.global_batch_size` is {batch}",
            hint=f"set `train.num_processes` to {total} at most{smaller if largest else ''}",
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
