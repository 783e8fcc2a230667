"""What ranks find when they go on from each other's checkpoints, for test_other_ranks.py.

Each leg of the way is a launch of another number of ranks. In it every ZeRO stage loads what
another stage has saved in the leg before, takes its steps and saves. Rank 0 writes what it found.

Dropout, stochastic depth and batch norm are on: three blocks, which ranks share as 2 and 1, 3, and
1 each. They are of 16 pairs: the last layers see one pixel an image, and statistics of four values
multiply a rounding by ten in five steps.
"""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import deepspeed.utils
import rank_checks
import torch
import torch.distributed as dist
from torch import Tensor

from openalign.train import passes, zero
from openalign.train.block_shares import block_share
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import Progress
from openalign.train.checkpoints.resume import FoundCheckpoint, find_newest
from openalign.train.checkpoints.saver import CheckpointTerms, Saver
from openalign.train.config import TrainConfig
from openalign.train.data.order import seed_at
from openalign.train.model.batch_norm import average_batch_norm
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.tensors import kept_buffers, trained_parameters
from openalign.train.optim.lamb import ShardedOptimizer, build_optimizer
from openalign.train.ranks import RankGroup
from openalign.train.updates import Ema, Lamb, Temperature

LEGS = (2, 1, 3, 2)
LAST_STEPS = (5, 25, 45, 65)
"""Where each leg ends: 20 steps behind each start from a checkpoint."""

GLOBAL_BATCH, BLOCK_SIZE = 48, 16
OPTIMIZER = Lamb(learning_rate=1e-3)
FROZEN = ("text_tower.encoder.layer.*.attention.self.key.bias",)
"""Its true gradient is 0: softmax does not see what is added to all scores of a query."""


def config_for(stage: int) -> TrainConfig:
    """Small sub-groups, so that a parameter's moments lie in several of stage 3's shards."""
    config = rank_checks.config_for(stage, OPTIMIZER, clipping=0.5)
    model = config.model
    dropping = replace(
        model,
        image_tower=replace(model.image_tower, stochastic_depth=0.3),
        text_tower=replace(model.text_tower, dropout=0.1),
    )
    return replace(
        config,
        model=dropping,
        global_batch_size=GLOBAL_BATCH,
        block_size=BLOCK_SIZE,
        temperature=Temperature(),
        frozen=FROZEN,
        ema=Ema(decay=0.5),
    )


def saved_by(stage: int) -> int:
    """Return the stage whose checkpoint a stage goes on from."""
    return (stage + 1) % len(rank_checks.STAGES)


def run_leg(folder: str, leg: int) -> None:
    """Be one rank of a leg."""
    torch.set_num_threads(1)
    with zero.joined_ranks() as ranks:
        found = {stage: _go_on(Path(folder), leg, stage, ranks) for stage in rank_checks.STAGES}
        if ranks.rank == 0:
            Path(folder, f"leg-{leg}.pkl").write_bytes(pickle.dumps(found))
        if LEGS[leg] == 1:  # here, because the number of threads changes the rounding
            Path(folder, "undisturbed.pkl").write_bytes(pickle.dumps(undisturbed()))


def _go_on(folder: Path, leg: int, stage: int, ranks: RankGroup) -> dict[str, Any]:
    config = config_for(stage)
    towers = rank_checks.calibrated_towers(config)
    optimizer = build_optimizer(towers, config)
    found: FoundCheckpoint | None = None
    if leg:
        before = _checkpoints(folder, leg - 1, saved_by(stage))
        found = find_newest(before, ranks, made_from={"corpus": "the same"})
        assert found is not None
        with torch.no_grad():  # what the checkpoint lacks would stay so
            for tensor in [*towers.parameters(), *kept_buffers(towers).values()]:
                tensor.fill_(7)
        found.load_towers(towers)
    engine = zero.start_engine(towers, optimizer, config, ranks)
    if found is not None:
        found.load_moments(engine, optimizer)
    loaded = whole_state(engine, optimizer) if leg else {}
    engine.train()
    taken = [_step(engine, optimizer, step, ranks, config) for step in _steps(leg)]
    average_batch_norm(engine.module)
    saved = whole_state(engine, optimizer)
    here = _checkpoints(folder, leg, stage)
    kept = CheckpointTerms(
        made_from={"corpus": "the same"}, settings={}, keep=1, keep_every_steps=0, beside={}
    )
    saver = Saver(here, ranks, kept)
    saver.save(engine, optimizer, Progress(step=LAST_STEPS[leg]))
    with torch.no_grad():  # a step that goes on meanwhile changes nothing of what is saved
        for tensor in engine.module.buffers():
            tensor.fill_(9)
    saver.wait()
    saver.close()
    zero.stop_engine(engine)
    return {"steps": taken, "loaded": loaded, "saved": saved}


def _steps(leg: int) -> range:
    return range(LAST_STEPS[leg - 1] if leg else 0, LAST_STEPS[leg])


def _checkpoints(folder: Path, leg: int, stage: int) -> CheckpointFolder:
    return CheckpointFolder(url=str(folder / f"leg-{leg}-stage-{stage}"), scratch=folder)


def _step(
    engine: Any, optimizer: ShardedOptimizer, step: int, ranks: RankGroup, config: TrainConfig
) -> tuple[float, float]:
    """Return loss and gradient norm."""
    optimizer.set_factor(1.0)
    share = block_share(config, rank=ranks.rank, world_size=ranks.world_size)
    rows = slice(share.start, share.start + share.num_pairs)
    pixels, ids, mask = (part[rows] for part in rank_checks.batch(step, GLOBAL_BATCH))
    blocks = [
        each._replace(num_tokens=ids.shape[1])
        for each in passes.block_passes(share, seed=config.seed, step=step)
    ]
    loss = contrastive_loss(
        *engine(pixels, ids, mask, passes=blocks),
        label_smoothing=0.1,
        rows_of_ranks=share.pairs_of_ranks,
    )
    norm = zero.take_step(engine, optimizer, loss)
    passes.move_statistics(engine, share)
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    return float(mean) / ranks.world_size, norm


def whole_state(engine: Any, optimizer: ShardedOptimizer) -> dict[str, Tensor]:
    """Return weights, what is kept of them, steps (through DeepSpeed's accessors) and buffers."""
    found = zero.whole_weights(engine)
    if engine.zero_optimization_stage() in (1, 2):
        # It looks for them once, after the step of its first group, when the others have none.
        engine.optimizer._hp_optimizer_states_linked = False
        engine.optimizer._lazy_init_hp_params_optimizer_state()
    for name, parameter in trained_parameters(engine.module).items():
        for moment in optimizer.kept:
            found[f"{moment} of {name}"] = _moment(engine, optimizer, parameter, moment)
    steps = {float(piece.step) for piece in zero.local_pieces(engine, optimizer)}
    assert len(steps) == 1, steps
    found["steps"] = torch.tensor(sorted(steps))
    return found


def _moment(engine: Any, optimizer: ShardedOptimizer, parameter: Any, moment: str) -> Tensor:
    if engine.zero_optimization_stage() == 0:
        return optimizer.state[parameter][moment].clone()
    whole = deepspeed.utils.safe_get_full_optimizer_state(parameter, moment)
    assert whole is not None
    return whole.cpu().reshape(-1)[: getattr(parameter, "ds_numel", None)].clone()


def undisturbed() -> list[tuple[float, float]]:
    """Return loss and gradient norm of every step in one process that never stops, without ZeRO."""
    config = config_for(0)
    towers = rank_checks.calibrated_towers(config).train()
    optimizer = build_optimizer(towers, config)
    optimizer.set_factor(1.0)
    taken: list[tuple[float, float]] = []
    for step in range(LAST_STEPS[-1]):
        optimizer.zero_grad()
        images, texts = [], []
        whole = rank_checks.batch(step, GLOBAL_BATCH)
        for number, start in enumerate(range(0, GLOBAL_BATCH, BLOCK_SIZE)):
            torch.manual_seed(seed_at(config.seed, 1, step, number))
            image, text, _ = towers(*(part[start : start + BLOCK_SIZE] for part in whole))
            images.append(image)
            texts.append(text)
        logits = torch.cat(images) @ torch.cat(texts).T / towers.temperature
        target = torch.arange(GLOBAL_BATCH)
        cross_entropy = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        loss = cross_entropy(logits, target) + cross_entropy(logits.T, target)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(towers.parameters(), config.gradient_clipping)
        optimizer.step()
        taken.append((loss.item(), norm.item()))
    return taken
