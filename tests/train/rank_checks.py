"""What two ranks find out together, for test_two_ranks.py: one start, many cases.

Each check returns plain values; rank r writes them all to `found-r.pkl`.
"""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from tiny_training import tiny_config, tiny_model
from torch import Tensor, nn

from openalign.errors import StageError
from openalign.train import guard, zero
from openalign.train.config import ImageTower, TextTower, TrainConfig, ZeroConfig
from openalign.train.model.batch_norm import (
    BlockBatchNorm,
    pass_statistics,
    reestimate_batch_norm,
    set_running_statistics,
)
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.parameter_patterns import freeze
from openalign.train.model.tensors import trained_parameters
from openalign.train.model.towers import Towers, build_towers
from openalign.train.optim.lamb import build_optimizer
from openalign.train.presets import LocalBatchNorm
from openalign.train.ranks import RankGroup
from openalign.train.updates import AdamW, Lamb, Temperature

STAGES = (0, 1, 2, 3)
NUM_STEPS = 4
GLOBAL_BATCH = 8
VOCABULARY_SIZE = 120
EMBEDDINGS = ("image_tower.embeddings", "text_tower.embeddings")
"""Frozen, no input of what is trained behind them wants a gradient."""

_CLIPPED = 0.5
_REFERENCES: dict[tuple[Lamb | AdamW, float, tuple[str, ...]], dict[str, Any]] = {}


def run(folder: str) -> None:
    """Be one rank."""
    import partial_training_checks  # it imports this module
    import step_counts

    torch.set_num_threads(1)
    with zero.joined_ranks() as ranks:
        found: dict[str, Any] = {}
        for stage in STAGES:
            found[f"lamb {stage}"] = steps_under(stage, Lamb(learning_rate=1e-2), ranks)
            everything = Lamb(learning_rate=1e-2, weight_decay=1e-2, decayed="all", adapted="all")
            found[f"lamb all {stage}"] = steps_under(stage, everything, ranks)
            found[f"lamb frozen {stage}"] = steps_under(
                stage, Lamb(learning_rate=1e-2), ranks, frozen=EMBEDDINGS
            )
        found["lamb 3 whole"] = steps_under(3, Lamb(learning_rate=1e-2), ranks, threshold=100_000)
        found["lamb 2 unclipped"] = steps_under(2, Lamb(learning_rate=1e-2), ranks, clipping=0.0)
        found["adamw 2"] = steps_under(2, AdamW(learning_rate=1e-3), ranks)
        found["adamw 3"] = steps_under(3, AdamW(learning_rate=1e-3), ranks)
        found["statistics"] = statistics_of_two_ranks(ranks.rank)
        found["nonfinite"] = nonfinite_gradient(ranks)
        found["round robin"] = {stage: round_robin(stage, ranks) for stage in (1, 2)}
        found["lacking"] = {stage: lacking_internals(stage, ranks) for stage in (2, 3)}
        found["step"] = step_counts.run(folder, ranks)
        found["partial"] = partial_training_checks.run(ranks)
        Path(folder, f"found-{ranks.rank}.pkl").write_bytes(pickle.dumps(found))


def config_for(stage: int, optimizer: Lamb | AdamW, *, clipping: float) -> TrainConfig:
    """Small sub-groups, so that stage 3 steps several times; bias, norm and a lone temperature."""
    zero_config = ZeroConfig(stage=stage, sub_group_size=20_000, persistence_threshold=0)  # pyright: ignore[reportArgumentType]
    return tiny_config(
        global_batch_size=GLOBAL_BATCH,
        optimizer=optimizer,
        zero=zero_config,
        gradient_clipping=clipping,
        temperature=Temperature(initial=0.5, learning_rate=1e-2, relative=True),
        model=tiny_model(
            image_tower=ImageTower(preset="b0", width=0.25, depth=0.3, stochastic_depth=0.0),
            text_tower=TextTower(num_layers=1, hidden_size=32, num_heads=2, dropout=0.0),
        ),
    )


class Shift(nn.Module):
    """One element: of two ranks' pieces of it in stage 3 the second is nothing but padding."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def calibrated_towers(config: TrainConfig) -> Towers:
    """Return towers whose batch norm stays at real statistics: no sample sees another."""
    towers = build_towers(replace(config, frozen=()), vocabulary_size=VOCABULARY_SIZE)
    towers.align.text_projection = nn.Sequential(towers.align.text_projection, Shift())  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        towers.train()(*batch(99, 32))
    set_running_statistics(towers, towers.statistics_of_passes[0])
    freeze(towers, config.frozen)
    return towers.eval()


def batch(seed: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return random pixels, ids and mask."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randn(size, 3, 32, 32, generator=draw)
    ids = torch.randint(5, VOCABULARY_SIZE, (size, 6), generator=draw)
    return pixels.contiguous(memory_format=torch.channels_last), ids, torch.ones_like(ids)


def share(whole: tuple[Tensor, ...], ranks: RankGroup) -> list[Tensor]:
    """Return this rank's rows."""
    size = len(whole[0]) // ranks.world_size
    return [part[ranks.rank * size : (ranks.rank + 1) * size] for part in whole]


def steps_under(
    stage: int,
    optimizer: Lamb | AdamW,
    ranks: RankGroup,
    *,
    clipping: float = _CLIPPED,
    threshold: int = 0,
    frozen: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Take steps with half a batch a rank, and the same in one process with plain parameters."""
    config = config_for(stage, optimizer, clipping=clipping)
    config = replace(config, zero=replace(config.zero, persistence_threshold=threshold))
    config = replace(config, frozen=frozen)
    key = (optimizer, clipping, frozen)
    if key not in _REFERENCES:
        _REFERENCES[key] = steps_in_one_process(config)
    expected = _REFERENCES[key]
    towers = calibrated_towers(config)
    own = build_optimizer(towers, config)
    engine = zero.start_engine(towers, own, config, ranks)
    engine.eval()
    losses: list[float] = []
    norms: list[float] = []
    for step in range(NUM_STEPS):
        own.set_factor(1.0 / (step + 1))
        outputs = engine(*share(batch(step, GLOBAL_BATCH), ranks))
        loss = contrastive_loss(*outputs, label_smoothing=0.1)
        norms.append(zero.take_step(engine, own, loss))
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        losses.append(float(mean) / ranks.world_size)
    weights = zero.whole_weights(engine)
    spread = own.trust_ratios.smallest_and_largest()
    zero.stop_engine(engine)
    return {"losses": losses, "norms": norms, "weights": weights, "spread": spread} | expected


def steps_in_one_process(config: TrainConfig) -> dict[str, Any]:
    """Return the weights before and after, the losses, and each parameter's largest gradient."""
    towers = calibrated_towers(config)
    start = {name: p.detach().clone() for name, p in towers.named_parameters()}
    largest = dict.fromkeys(start, 0.0)
    optimizer = build_optimizer(towers, config)
    losses: list[float] = []
    norms: list[float] = []
    for step in range(NUM_STEPS):
        optimizer.start_step()
        optimizer.set_factor(1.0 / (step + 1))
        optimizer.zero_grad()
        image, text, temperature = towers(*batch(step, GLOBAL_BATCH))
        logits = image @ text.T / temperature
        target = torch.arange(GLOBAL_BATCH)
        cross_entropy = nn.CrossEntropyLoss(label_smoothing=0.1)
        loss = cross_entropy(logits, target) + cross_entropy(logits.T, target)
        loss.backward()
        limit = config.gradient_clipping or float("inf")
        norms.append(float(nn.utils.clip_grad_norm_(towers.parameters(), limit)))
        for name, p in towers.named_parameters():
            if not p.requires_grad:
                continue
            assert p.grad is not None
            largest[name] = max(largest[name], float(p.grad.abs().max()))
        optimizer.step()
        losses.append(loss.item())
    return {
        "start": start,
        "expected weights": {n: p.detach().clone() for n, p in towers.named_parameters()},
        "expected losses": losses,
        "expected norms": norms,
        "largest gradient": largest,
        "expected spread": optimizer.trust_ratios.smallest_and_largest(),
    }


def statistics_of_two_ranks(rank: int) -> dict[str, Tensor]:
    """Re-estimate a lone batch norm: rank 0 sees 0 and 2, then 4 and 4; rank 1 sees 6 and 10."""
    layer = BlockBatchNorm(nn.BatchNorm2d(1), momentum=0.1, kind=LocalBatchNorm())
    batches = [[0.0, 2.0], [4.0, 4.0]] if rank == 0 else [[6.0, 10.0], [6.0, 10.0]]

    def run() -> Iterator[list[Tensor]]:
        for values in batches:
            layer(torch.tensor(values).reshape(2, 1, 1, 1))
            yield [pass_statistics([layer])]

    reestimate_batch_norm(layer, run(), num_passes=4)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return {"mean": layer.running_mean, "variance": layer.running_var}


def nonfinite_gradient(ranks: RankGroup) -> dict[str, Any]:
    """Give one rank alone a gradient that is not finite, under a loss that is."""
    found: dict[str, Any] = {}
    for stage in STAGES:
        config = config_for(stage, AdamW(), clipping=0.0)
        towers = calibrated_towers(config)
        own = build_optimizer(towers, config)
        engine = zero.start_engine(towers, own, config, ranks)
        engine.eval()
        before = zero.whole_weights(engine)
        image, text, temperature = engine(*share(batch(0, GLOBAL_BATCH), ranks))
        if ranks.rank == 1:
            image.register_hook(lambda gradient: gradient * float("nan"))
        loss = contrastive_loss(image, text, temperature, label_smoothing=0.1)
        norm = zero.take_step(engine, own, loss)
        after = zero.whole_weights(engine)
        moved = [name for name in before if not torch.equal(before[name], after[name])]
        found[str(stage)] = {"norm": norm, "moved": moved}
        zero.stop_engine(engine)
    return found


def round_robin(stage: int, ranks: RankGroup) -> str:
    """Start an engine whose map of shards is wrong, and that says nothing of it; return the error.

    Such would be a release that reorders parameters under another name.
    """
    config = config_for(stage, AdamW(), clipping=0.0)
    towers = build_towers(config, vocabulary_size=VOCABULARY_SIZE)
    optimizer = build_optimizer(towers, config)
    right = zero.deepspeed_settings

    def settings(*given: Any, **named: Any) -> dict[str, Any]:
        found = right(*given, **named)
        return found | {
            "zero_optimization": found["zero_optimization"] | {"round_robin_gradients": True}
        }

    with (
        patch.object(zero, "deepspeed_settings", settings),
        patch.object(guard, "check_engine", lambda *_, **__: None),
    ):
        try:
            zero.stop_engine(zero.start_engine(towers, optimizer, config, ranks))
        except StageError as error:
            return str(error)
    return ""


def lacking_internals(stage: int, ranks: RankGroup) -> str:
    """Lay out shards where DeepSpeed lacks on rank 1 what is read of it; return the error.

    Such would be machines with different releases.
    """
    config = config_for(stage, AdamW(), clipping=0.0)
    towers = calibrated_towers(config)
    own = build_optimizer(towers, config)
    engine = zero.start_engine(towers, own, config, ranks)
    read = (engine.optimizer, "fp32_partitioned_groups_flat")
    if stage != 3:
        read = (next(iter(trained_parameters(engine.module).values())), "_hp_mapping")
    if ranks.rank == 1:
        delattr(*read)
    try:
        zero.shard_layout(engine, own)
    except StageError as error:
        return str(error)
    finally:
        zero.stop_engine(engine)
    return ""
