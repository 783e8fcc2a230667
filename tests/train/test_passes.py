"""Which blocks a rank has, and what each pass is run with."""

from typing import Any

import numpy as np
import pytest
import torch

from openalign.errors import ConfigError
from openalign.train.block_shares import BlockShare, block_share
from openalign.train.config import TrainConfig, ZeroConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pairs import Batch
from openalign.train.data.preprocess import TokenBatch
from openalign.train.model.towers import Pass
from openalign.train.passes import passes_of
from openalign.train.presets import SyncBatchNorm

from tiny_training import tiny_config, tiny_model  # isort: skip

SEED, STEP = 3, 11


def seven_blocks(**changes: Any) -> TrainConfig:
    return tiny_config(global_batch_size=28, block_size=4, seed=SEED, **changes)


def shares(config: TrainConfig, world_size: int) -> list[BlockShare]:
    return [block_share(config, rank=rank, world_size=world_size) for rank in range(world_size)]


def batch(*lengths: int) -> Batch:
    """Return pairs whose texts have these lengths."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return Batch(
        step=STEP,
        rows=np.arange(len(lengths)),
        pixels=torch.zeros(len(lengths), 3, 1, 1),
        tokens=TokenBatch(mask * 7, mask),
        image_ids=torch.arange(len(lengths)),
        num_pieces=0,
        num_unknown=0,
    )


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
    with pytest.raises(ConfigError, match="8 ranks cannot share 7 blocks of 4 pairs") as refused:
        block_share(seven_blocks(), rank=0, world_size=8)

    assert refused.value.hint is not None
    assert "`train.num_processes` to 7 at most, or `train.block_size` to 3" in refused.value.hint


def test_uneven_shares_are_refused_where_ranks_normalize_together() -> None:
    image_tower = tiny_model().image_tower
    synced = type(image_tower)(preset="b0", batch_norm=SyncBatchNorm())
    config = seven_blocks(model=tiny_model(image_tower=synced))

    with pytest.raises(ConfigError, match="is sync, and 2 ranks cannot share 7 blocks evenly"):
        block_share(config, rank=1, world_size=2)
    block_share(config, rank=1, world_size=7)


def test_a_block_has_its_own_padding_and_the_seed_of_its_number_in_the_batch() -> None:
    """The second of three ranks has blocks 3 and 4, and under stage 3 makes one pass for others."""
    config = seven_blocks(zero=ZeroConfig(stage=3))
    share = block_share(config, rank=1, world_size=3)

    found = passes_of(config, share, batch(3, 5, 4, 3, 9, 2, 2, 2))

    third = Pass(start=0, stop=4, num_tokens=5, seed=seed_at(SEED, 1, STEP, 3))
    assert found == [
        third,
        Pass(start=4, stop=8, num_tokens=9, seed=seed_at(SEED, 1, STEP, 4)),
        third._replace(counts=False),
    ]


def test_compiled_towers_see_texts_of_one_length() -> None:
    config = seven_blocks(compile=True)
    share = block_share(config, rank=1, world_size=3)

    found = passes_of(config, share, batch(3, 5, 4, 3, 9, 2, 2, 2))

    assert [each.num_tokens for each in found] == [9, 9]
