"""Which blocks a rank has."""

from typing import Any

import pytest
from tiny_training import tiny_config, tiny_model

from openalign.errors import ConfigError
from openalign.train.block_shares import BlockShare, block_share
from openalign.train.config import TrainConfig, ZeroConfig
from openalign.train.presets import SyncBatchNorm


def seven_blocks(**changes: Any) -> TrainConfig:
    return tiny_config(global_batch_size=28, block_size=4, **changes)


def shares(config: TrainConfig, world_size: int) -> list[BlockShare]:
    return [block_share(config, rank=rank, world_size=world_size) for rank in range(world_size)]


@pytest.mark.parametrize(
    ("world_size", "blocks"),
    [(1, [7]), (2, [4, 3]), (3, [3, 2, 2]), (7, [1] * 7)],
)
def test_ranks_have_whole_blocks_one_after_the_other(world_size: int, blocks: list[int]) -> None:
    found = shares(seven_blocks(), world_size)

    assert [share.num_blocks for share in found] == blocks
    assert [share.first for share in found] == [sum(blocks[:rank]) for rank in range(world_size)]
    assert [share.start for share in found] == [4 * share.first for share in found]
    assert {share.pairs_of_ranks for share in found} == {tuple(4 * n for n in blocks)}
    assert sum(share.num_blocks * share.weight for share in found) == pytest.approx(world_size)


def test_passes_are_made_for_other_ranks_sake_in_stage_3_alone() -> None:
    sharded = seven_blocks(zero=ZeroConfig(stage=3))

    assert [share.num_passes for share in shares(sharded, 3)] == [3, 3, 3]
    assert [share.num_passes for share in shares(seven_blocks(), 3)] == [3, 2, 2]


def test_more_ranks_than_blocks_are_refused() -> None:
    """Of 28 pairs, whose divisors are 1, 2, 4 and on, 8 ranks can have 3 at most."""
    with pytest.raises(ConfigError, match="8 ranks cannot share 7 blocks of 4 pairs") as refused:
        block_share(seven_blocks(), rank=0, world_size=8)

    assert refused.value.hint is not None
    assert "`train.num_processes` to 7 at most, or `train.block_size` to 2" in refused.value.hint


def test_uneven_shares_are_refused_where_ranks_normalize_together() -> None:
    image_tower = tiny_model().image_tower
    synced = type(image_tower)(preset="b0", batch_norm=SyncBatchNorm())
    config = seven_blocks(model=tiny_model(image_tower=synced))

    with pytest.raises(ConfigError, match="is sync, and 2 ranks cannot share 7 blocks evenly"):
        block_share(config, rank=1, world_size=2)
    block_share(config, rank=1, world_size=7)
