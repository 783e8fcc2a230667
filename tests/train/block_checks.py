"""One step of seven blocks on several ranks, for test_blocks.py, and beside it in one graph.

Dropout, stochastic depth and batch norm are on, and texts have many lengths. Rank r writes what it
found to `found-r.pkl`.
"""

import pickle
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from tiny_training import tiny_config, tiny_model
from torch import Tensor

from openalign.train import passes, zero
from openalign.train.block_shares import BlockShare, block_share
from openalign.train.config import ImageTower, TextTower, TrainConfig, ZeroConfig
from openalign.train.data.order import seed_at
from openalign.train.data.pairs import Batch
from openalign.train.data.preprocess import TokenBatch
from openalign.train.model.batch_norm import (
    average_batch_norm,
    batch_norms,
    running_statistics,
)
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.towers import Towers, build_towers
from openalign.train.optim.lamb import build_optimizer
from openalign.train.presets import BatchNorm, GhostBatchNorm, LocalBatchNorm, SyncBatchNorm
from openalign.train.ranks import RankGroup

BLOCK_SIZE, NUM_BLOCKS = 4, 7
STEP = 5
VOCABULARY_SIZE = 120
SYNCED_BLOCKS = 6
"""Ranks share them evenly, as `sync` batch norm needs."""

_LONGEST = 9


def config_for(name: str) -> TrainConfig:
    """Return the settings of a case, such as `3 local` or `1 ghost recomputed`."""
    stage, kind, *more = name.split()
    kinds: dict[str, BatchNorm] = {
        "local": LocalBatchNorm(),
        "ghost": GhostBatchNorm(group_size=2),
        "sync": SyncBatchNorm(),
    }
    drawn = kind != "sync"  # its reference has other blocks, so other draws
    recompute = more == ["recomputed"]
    image_tower = ImageTower(
        preset="b0",
        width=0.25,
        depth=0.3,
        stochastic_depth=0.5 * drawn,
        batch_norm=kinds[kind],
        batch_norm_momentum=0.1,
        gradient_checkpointing=recompute,
    )
    text_tower = TextTower(
        num_layers=1,
        hidden_size=32,
        num_heads=2,
        dropout=0.1 * drawn,
        gradient_checkpointing=recompute,
    )
    return tiny_config(
        global_batch_size=BLOCK_SIZE * (NUM_BLOCKS if drawn else SYNCED_BLOCKS),
        block_size=BLOCK_SIZE,
        model=tiny_model(image_tower=image_tower, text_tower=text_tower),
        zero=ZeroConfig(stage=int(stage), persistence_threshold=0),  # pyright: ignore[reportArgumentType]
    )


CASES = ("0 local", "2 local", "3 local", "1 ghost recomputed", "3 ghost recomputed")


def run(folder: str) -> None:
    """Be one rank."""
    torch.set_num_threads(1)
    with zero.joined_ranks() as ranks:
        found: dict[str, Any] = {name: step_under_zero(config_for(name), ranks) for name in CASES}
        found["float64"] = step_in_float64(config_for("0 local"), ranks)
        if ranks.world_size == 2:
            found["float64 sync"] = step_in_float64(config_for("0 sync"), ranks)
        if ranks.world_size == 1:
            found["lookups"] = {count: lookups_of_a_step(count, ranks) for count in (2, 4)}
        Path(folder, f"found-{ranks.rank}.pkl").write_bytes(pickle.dumps(found))


def pairs(config: TrainConfig) -> Batch:
    """Return a global batch whose blocks have longest texts of 3 to 9 tokens."""
    size = config.global_batch_size
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(size, 3, 32, 32, generator=draw)
    ids = torch.randint(5, VOCABULARY_SIZE, (size, _LONGEST), generator=draw)
    lengths = 2 + torch.arange(size) // BLOCK_SIZE
    lengths[::BLOCK_SIZE] += 1
    mask = (torch.arange(_LONGEST) < lengths[:, None]).long()
    last = pixels.contiguous(memory_format=torch.channels_last)
    return Batch(
        step=STEP,
        rows=torch.arange(size).numpy(),
        pixels=last,
        tokens=TokenBatch(ids * mask, mask),
        image_ids=torch.arange(size),
        num_pieces=0,
        num_unknown=0,
    )


def part_of(batch: Batch, share: BlockShare) -> Batch:
    """Return a rank's part of a global batch, its texts padded to the longest of them."""
    rows = slice(share.start, share.start + share.num_pairs)
    longest = int(batch.tokens.mask[rows].sum(1).max())
    tokens = TokenBatch(*(x[rows, :longest] for x in batch.tokens))
    return replace(batch, rows=batch.rows[rows], pixels=batch.pixels[rows], tokens=tokens)


def step_in_float64(config: TrainConfig, ranks: RankGroup) -> dict[str, Any]:
    """Return the loss and gradients that the ranks have together, without DeepSpeed."""
    share = block_share(config, rank=ranks.rank, world_size=ranks.world_size)
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE).double().train()
    batch = part_of(pairs(config), share)
    loss = loss_of(towers, replace(batch, pixels=batch.pixels[:].double()), share, config, ranks)
    loss.backward()
    found = {name: p.grad for name, p in towers.named_parameters()}
    for value in (loss.data, *found.values()):
        assert value is not None
        dist.all_reduce(value)
        value.div_(ranks.world_size)
    return {"loss": loss.item(), "gradients": found}


def loss_of(
    engine: Any, batch: Batch, share: BlockShare, config: TrainConfig, ranks: RankGroup
) -> Tensor:
    """Return this rank's part of the loss."""
    outputs = passes.embed(engine, batch, share, config, ranks.device)
    return contrastive_loss(
        *outputs,
        label_smoothing=config.label_smoothing,
        rows_of_ranks=share.pairs_of_ranks,
    )


def step_under_zero(config: TrainConfig, ranks: RankGroup) -> dict[str, Any]:
    """Return the loss, whole gradients and statistics that the ranks have together."""
    from deepspeed.utils import safe_get_full_grad

    share = block_share(config, rank=ranks.rank, world_size=ranks.world_size)
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE)
    optimizer = build_optimizer(towers, config)
    engine = zero.start_engine(towers, optimizer, config, ranks)
    engine.train()
    batch = part_of(pairs(config), share)
    loss = loss_of(engine, batch, share, config, ranks)
    engine.backward(loss)
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    gradients = {
        name: safe_get_full_grad(p).clone()  # pyright: ignore[reportOptionalMemberAccess]
        for name, p in engine.module.named_parameters()
    }
    passes.move_statistics(engine, share)
    average_batch_norm(engine.module)
    found = {
        "loss": float(mean) / ranks.world_size,
        "gradients": gradients,
        "statistics": running_statistics(engine.module),
        "passes": share.num_passes,
    }
    data: Any = SameBatches(part_of(pairs(config), share))
    passes.settle_statistics(engine, engine.module, data, share, config)
    found["settled"] = running_statistics(engine.module)
    zero.stop_engine(engine)
    return found


def lookups_of_a_step(num_blocks: int, ranks: RankGroup) -> int:
    """Return how often DeepSpeed asks modules for their parameters in a second step of stage 3.

    In the first it notes the order of modules; from the second on it looks ahead in that order.
    """
    from deepspeed.runtime.zero import partitioned_param_coordinator as coordinator

    config = replace(config_for("3 local"), global_batch_size=num_blocks * BLOCK_SIZE)
    share = block_share(config, rank=ranks.rank, world_size=ranks.world_size)
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE)
    engine = zero.start_engine(towers, build_optimizer(towers, config), config, ranks)
    engine.train()
    counted = Mock(wraps=coordinator.iter_params)
    for _ in range(2):
        with patch.object(coordinator, "iter_params", counted):
            counted.reset_mock()
            engine.backward(loss_of(engine, part_of(pairs(config), share), share, config, ranks))
        engine.step()
    zero.stop_engine(engine)
    return counted.call_count


class SameBatches:
    """In the place of a training set: a rank's part of one batch, in every step."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def batches(self, first_step: int, last_step: int, **_: int) -> Generator[Batch]:
        for step in range(first_step, last_step):
            yield replace(self.batch, step=step)


def step_in_one_graph(
    config: TrainConfig, blocks: list[list[int]], dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Return the same from one process that runs the rows of every block in turn, in one graph."""
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE).to(dtype).train()
    batch = pairs(config)
    batch = replace(batch, pixels=batch.pixels[:].to(dtype))
    image, text = embed_in_turn(towers, config, batch, blocks)
    logits = image @ text.T / towers.temperature
    target = torch.arange(len(image))
    loss = sum(
        F.cross_entropy(x, target, label_smoothing=config.label_smoothing)
        for x in (logits, logits.T)
    )
    assert isinstance(loss, Tensor)
    loss.backward()
    return {
        "loss": loss.item(),
        "gradients": {name: p.grad for name, p in towers.named_parameters()},
        "statistics": running_after(towers),
        "settled": settled(towers, config, batch, blocks),
    }


def embed_in_turn(
    towers: Towers, config: TrainConfig, batch: Batch, blocks: list[list[int]]
) -> tuple[Tensor, Tensor]:
    """Return embeddings in the order of the batch; puts all statistics of passes on the towers."""
    images, texts, statistics = [], [], []
    for number, rows in enumerate(blocks):
        torch.manual_seed(seed_at(config.seed, 1, batch.step, number))
        longest = int(batch.tokens.mask[rows].sum(1).max())
        ids, mask = (x[rows, :longest] for x in batch.tokens)
        image, text, _ = towers(batch.pixels[:][rows], ids, mask)
        images.append(image)
        texts.append(text)
        statistics += towers.statistics_of_passes
    towers.statistics_of_passes = statistics
    order = torch.tensor([row for rows in blocks for row in rows]).argsort()
    return torch.cat(images)[order], torch.cat(texts)[order]


@torch.no_grad()
def settled(towers: Towers, config: TrainConfig, batch: Batch, blocks: list[list[int]]) -> Tensor:
    """Return the mean over blocks with dropout off."""
    towers.eval()
    for layer in batch_norms(towers):
        layer.train()
    embed_in_turn(towers, config, batch, blocks)
    return torch.stack(towers.statistics_of_passes).mean(0)


def running_after(towers: Towers) -> Tensor:
    """Return running statistics that have moved by a tenth to the mean over all blocks."""
    mean = torch.stack(towers.statistics_of_passes).mean(0)
    return 0.9 * running_statistics(towers) + 0.1 * mean
