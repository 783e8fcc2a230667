"""Which blocks a rank has."""

from dataclasses import replace
from typing import Any

import pytest
from tiny_training import tiny_config, tiny_model

from openalign.errors import ConfigError
from openalign.train.block_shares import BlockShare, block_share, check_shares
from openalign.train.config import TrainConfig, ZeroConfig
from openalign.train.presets import BatchNorm, GhostBatchNorm, LocalBatchNorm, SyncBatchNorm


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


def with_batch_norm(batch_norm: BatchNorm, **changes: Any) -> TrainConfig:
    image_tower = replace(tiny_model().image_tower, batch_norm=batch_norm)
    return tiny_config(model=tiny_model(image_tower=image_tower), **changes)


def hint_of(config: TrainConfig, *, num_ranks: int, starts: bool) -> str:
    with pytest.raises(ConfigError, match=f"{num_ranks} ranks cannot share") as refused:
        check_shares(config, num_ranks=num_ranks, starts=starts)
    assert refused.value.hint is not None
    return refused.value.hint


def test_more_ranks_than_blocks_are_refused() -> None:
    """Of 28 pairs, whose divisors are 1, 2, 4 and on, 8 ranks can have 3 at most."""
    with pytest.raises(ConfigError, match="8 ranks cannot share 7 blocks of 4 pairs"):
        block_share(seven_blocks(), rank=0, world_size=8)

    assert hint_of(seven_blocks(), num_ranks=8, starts=True) == (
        "set `train.num_processes` to 7 at most; or set `train.block_size` to 2, which makes "
        "another model"
    )


def test_ranks_that_something_else_has_started_are_no_setting() -> None:
    hint = hint_of(seven_blocks(), num_ranks=8, starts=False)

    assert hint.startswith("start 7 ranks at most; or set `train.block_size` to 2, ")
    with pytest.raises(ConfigError) as refused:
        block_share(seven_blocks(), rank=0, world_size=8)
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("batch_norm", "batch_size", "num_ranks", "block_size"),
    [
        pytest.param(LocalBatchNorm(), 6, 3, 2, id="two pairs"),
        pytest.param(LocalBatchNorm(), 6, 5, None, id="a pair alone"),
        pytest.param(GhostBatchNorm(group_size=16), 64, 4, 16, id="one group"),
        pytest.param(GhostBatchNorm(group_size=16), 96, 2, 48, id="three groups"),
        pytest.param(GhostBatchNorm(group_size=16), 64, 8, None, id="half a group"),
        pytest.param(SyncBatchNorm(), 12, 4, 3, id="even"),
        pytest.param(SyncBatchNorm(), 12, 5, None, id="none is even"),
    ],
)
def test_a_hint_names_blocks_that_are_accepted_or_none(
    batch_norm: BatchNorm, batch_size: int, num_ranks: int, block_size: int | None
) -> None:
    def is_accepted(size: int) -> bool:
        try:
            tried = replace(config, block_size=size)
            check_shares(tried, num_ranks=num_ranks, starts=True)
        except (ValueError, ConfigError):
            return False
        return True

    config = with_batch_norm(batch_norm, global_batch_size=batch_size, block_size=batch_size)
    hint = hint_of(config, num_ranks=num_ranks, starts=True)

    assert block_size == max(filter(is_accepted, range(1, batch_size)), default=None)
    if block_size is None:
        assert hint.endswith("; no smaller `train.block_size` lets so many share the batch")
    else:
        assert f"set `train.block_size` to {block_size}, " in hint


def test_ranks_that_normalize_together_are_told_of_even_shares() -> None:
    config = with_batch_norm(SyncBatchNorm(), global_batch_size=28, block_size=4)

    assert hint_of(config, num_ranks=8, starts=True).startswith(
        "set `train.num_processes` to 7, or a number that divides the blocks; "
    )


def test_uneven_shares_are_refused_where_ranks_normalize_together() -> None:
    config = with_batch_norm(SyncBatchNorm(), global_batch_size=28, block_size=4)

    with pytest.raises(ConfigError, match="is sync, and 2 ranks cannot share 7 blocks evenly"):
        block_share(config, rank=1, world_size=2)
    block_share(config, rank=1, world_size=7)
