"""Which blocks of a global batch each rank has, without torch: a starter asks too."""

from dataclasses import dataclass

from openalign.errors import ConfigError
from openalign.train.config import TrainConfig
from openalign.train.presets import LEAST_BLOCK, BatchNorm, SyncBatchNorm, block_multiple


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
    check_shares(config, num_ranks=world_size, starts=False)
    total, size = config.num_blocks, config.pairs_per_block
    least, num_larger = divmod(total, world_size)
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


def check_shares(config: TrainConfig, *, num_ranks: int, starts: bool) -> None:
    """Check that so many ranks can share the blocks; `starts`: this process starts them.

    Raises:
        ConfigError: there are fewer blocks than ranks, or `sync` batch norm and uneven shares.
    """
    total, size, batch = config.num_blocks, config.pairs_per_block, config.global_batch_size
    batch_norm = config.model.image_tower.batch_norm
    if total < num_ranks:
        raise ConfigError(
            f"{num_ranks} ranks cannot share {total} block{'s' * (total > 1)} of {size} pairs: "
            f"`train.global_batch_size` is {batch}",
            hint=_fewer(total, batch_norm, starts=starts)
            + _smaller(largest_block(batch_norm, batch_size=batch, num_ranks=num_ranks)),
        )
    if total % num_ranks and isinstance(batch_norm, SyncBatchNorm):
        raise ConfigError(
            f"`train.model.image_tower.batch_norm` is sync, and {num_ranks} ranks cannot share "
            f"{total} blocks evenly: the ranks normalize one block each at a time",
            hint="choose a number of ranks that divides the blocks, or local or ghost batch norm",
        )


def largest_block(
    batch_norm: BatchNorm, *, batch_size: int, num_ranks: int, up_to: int | None = None
) -> int | None:
    """Return the largest size of blocks that so many ranks can share, or None.

    Neither the settings nor `check_shares` refuse it.
    """
    is_even = isinstance(batch_norm, SyncBatchNorm)
    multiple, most = block_multiple(batch_norm), batch_size // num_ranks
    for size in range(min(most, up_to or most), LEAST_BLOCK - 1, -1):
        num_blocks, rest = divmod(batch_size, size)
        if not (rest or size % multiple or (is_even and num_blocks % num_ranks)):
            return size
    return None


def _fewer(total: int, batch_norm: BatchNorm, *, starts: bool) -> str:
    is_even = isinstance(batch_norm, SyncBatchNorm)
    or_fewer = ", or a number that divides the blocks" if is_even else " at most"
    if starts:
        return f"set `train.num_processes` to {total}{or_fewer}"
    return f"start {total} rank{'s' * (total > 1)}{or_fewer}"


def _smaller(block_size: int | None) -> str:
    if block_size is None:
        return "; no smaller `train.block_size` lets so many share the batch"
    return f"; or set `train.block_size` to {block_size}, which makes another model"
