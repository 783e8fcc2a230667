"""Parts that are frozen, slowed down or averaged, under ZeRO: what two ranks find, and an oracle.

Called by rank_checks.py, so that ranks are started once.
"""

from dataclasses import replace
from typing import Any

import torch
from rank_checks import (
    GLOBAL_BATCH,
    NUM_STEPS,
    STAGES,
    batch,
    calibrated_towers,
    config_for,
    share,
)
from torch import Tensor, nn

from openalign.train import zero
from openalign.train.config import TrainConfig
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.towers import Towers
from openalign.train.optim.lamb import EMA, build_optimizer
from openalign.train.ranks import RankGroup
from openalign.train.updates import AdamW, Ema, Lamb

FROZEN = ("image_tower", "temperature", "text_tower.encoder.layer.0.attention.*.bias")
RATE = 1e-2
DECAY = 0.35
"""Below (1 + t) / (10 + t) from the fourth update on: both branches are taken."""


def run(ranks: RankGroup) -> dict[str, Any]:
    """Return, by case, the weights and averages of two ranks."""
    found: dict[str, Any] = {}
    adam = AdamW(learning_rate=RATE, weight_decay=0.1)
    for stage in STAGES:
        found[f"adamw {stage}"] = _under(_config(stage, adam), ranks)
        found[f"lamb {stage}"] = _under(_config(stage, Lamb(learning_rate=RATE)), ranks)
    whole = _config(3, adam)
    whole = replace(whole, zero=replace(whole.zero, persistence_threshold=100_000))
    found["adamw 3 whole"] = _under(whole, ranks)
    if ranks.rank == 0:
        found["oracle"] = _oracle(_config(0, adam))
        found["lamb in one process"] = _alone(_config(0, Lamb(learning_rate=RATE)))
    return found


def _config(stage: int, optimizer: AdamW | Lamb) -> TrainConfig:
    return replace(
        config_for(stage, optimizer, clipping=0.0),
        frozen=FROZEN,
        learning_rate_factors={"text_tower": 0.5, "text_tower.embeddings": 0.2},
        ema=Ema(decay=DECAY),
    )


def _under(config: TrainConfig, ranks: RankGroup) -> dict[str, Any]:
    """Train in training mode: what is frozen whole must not be in it."""
    towers = calibrated_towers(config)
    own = build_optimizer(towers, config)
    engine = zero.start_engine(towers, own, config, ranks)
    engine.train()
    for step in range(NUM_STEPS):
        outputs = engine(*share(batch(step, GLOBAL_BATCH), ranks))
        zero.take_step(engine, own, contrastive_loss(*outputs, label_smoothing=0.1))
    weights = zero.whole_weights(engine)
    zero.show_weights(engine, own, EMA)
    averages = zero.whole_weights(engine)
    zero.stop_engine(engine)
    return {"weights": weights, "averages": averages}


def _loss(towers: Towers, step: int) -> Tensor:
    image, text, temperature = towers(*batch(step, GLOBAL_BATCH))
    logits, target = image @ text.T / temperature, torch.arange(GLOBAL_BATCH)
    cross_entropy = nn.CrossEntropyLoss(label_smoothing=0.1)
    return cross_entropy(logits, target) + cross_entropy(logits.T, target)


def _alone(config: TrainConfig) -> dict[str, Any]:
    towers = calibrated_towers(config)
    optimizer = build_optimizer(towers, config)
    for step in range(NUM_STEPS):
        optimizer.start_step()
        optimizer.zero_grad()
        _loss(towers, step).backward()
        optimizer.step()
    return {"weights": {n: p.detach().clone() for n, p in towers.named_parameters()}}


def _oracle(config: TrainConfig) -> dict[str, Any]:
    """Return what torch's own AdamW and a plain average come to."""
    towers = calibrated_towers(config)
    start = {name: value.clone() for name, value in towers.state_dict().items()}
    groups: list[dict[str, Any]] = []
    for name, parameter in towers.named_parameters():
        is_bias = ".attention." in name and name.endswith(".bias")
        if "vision_model" in name or name == "temperature" or is_bias:
            continue
        rate = RATE * (0.5 if "text_model" in name else 1.0)
        rate *= 0.2 if "text_model.embeddings" in name else 1.0
        decay = 0.1 if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "lr": rate, "weight_decay": decay})
    optimizer = torch.optim.AdamW(groups, eps=1e-8)
    averages = {name: p.detach().clone() for name, p in towers.named_parameters()}
    for step in range(NUM_STEPS):
        optimizer.zero_grad()
        _loss(towers, step).backward()
        optimizer.step()
        decay = min(DECAY, (2 + step) / (11 + step))
        for name, parameter in towers.named_parameters():
            averages[name] = decay * averages[name] + (1 - decay) * parameter.detach()
    weights = {name: p.detach().clone() for name, p in towers.named_parameters()}
    trained = {name for name, p in towers.named_parameters() if p.grad is not None}
    return {"start": start, "weights": weights, "averages": averages, "trained": trained}
