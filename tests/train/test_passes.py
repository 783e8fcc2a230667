"""What each pass is run with."""

from typing import Any

import numpy as np
import torch

from openalign.train.block_shares import block_share
from openalign.train.config import TrainConfig, ZeroConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pairs import Batch
from openalign.train.data.preprocess import TokenBatch
from openalign.train.model.towers import Pass
from openalign.train.passes import passes_of

from tiny_training import tiny_config  # isort: skip

SEED, STEP = 3, 11


def seven_blocks(**changes: Any) -> TrainConfig:
    return tiny_config(global_batch_size=28, block_size=4, seed=SEED, **changes)


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
