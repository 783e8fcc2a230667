"""Colors of shapes, told by a tiny tower and a head: by hand, and on the training engine."""

import os
import pickle
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from tiny_training import COLORS, SHAPES, jpeg_of, tiny_config
from torch import Tensor, nn

from openalign.train import zero
from openalign.train.checkpoint_names import name_of
from openalign.train.config import Duration, ZeroConfig
from openalign.train.data.order import rows_at, seed_at
from openalign.train.data.preprocess import to_tensor
from openalign.train.fine_tune.classifier import Classifier
from openalign.train.fine_tune.crops import evaluation_crops, training_crops
from openalign.train.fine_tune.images import LabeledImages
from openalign.train.fine_tune.losses import draw_mix
from openalign.train.fine_tune.recipes import (
    FINE_GRAINED_ALL,
    FINE_GRAINED_HEAD,
    IMAGENET_ALL,
    FineTuneEngine,
    Recipe,
)
from openalign.train.fine_tune.run import FineTuning, fine_tune, logits_of
from openalign.train.fine_tune.schedule import falling_factor
from openalign.train.model.batch_norm import batch_norms, move_running_statistics, pass_statistics
from openalign.train.model.towers import build_towers, embedding_width
from openalign.train.ranks import from_every_rank
from openalign.train.watchdog import Unwatched

NAMED = [(color, shape) for color in COLORS[:4] for shape in SHAPES]
CONTENTS = [jpeg_of(color, shape) for color, shape in NAMED]
LABELS = torch.tensor([COLORS.index(color) for color, _ in NAMED])
TINY = {"train_px": 32, "eval_px": 40, "batch_size": 16}
HEAD = replace(FINE_GRAINED_HEAD, **TINY, duration=Duration(steps=25), learning_rate=1e-3)
ALL = replace(FINE_GRAINED_ALL, **TINY, duration=Duration(steps=15), learning_rate=1e-4)
RECIPES: dict[str, Recipe] = {
    "head": replace(HEAD, duration=Duration(steps=4), weight_decay=10.0),
    "all": replace(ALL, duration=Duration(steps=4), weight_decay=1.0),
    "batch norm": replace(IMAGENET_ALL, **TINY, duration=Duration(steps=4), learning_rate=0.03),
    "as in BiT": replace(
        IMAGENET_ALL,
        **TINY,
        duration=Duration(steps=4),
        learning_rate=0.03,
        decay_to_initial=5.0,
        dropout=0.3,
        mixup=0.4,
    ),
}
"""Rates and decays so large that four steps without one of them end elsewhere."""

MOVED = {
    "head": {"head"},
    "all": {"head", "tower"},
    "batch norm": {"head", "tower", "statistics"},
    "as in BiT": {"head", "tower", "statistics"},
}
"""What each of them trains."""

BLOCK = 4
"""Of two images that are one pixel in the end, batch norm would see nothing but a sign."""

SEED = 5


def new_classifier() -> Classifier:
    """Return a network whose batch norms have the statistics of the images."""
    tower = build_towers(tiny_config(), vocabulary_size=50).align.vision_model
    norms = [layer for layer in tower.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():  # else all images look alike to it
        tower(pixel_values=central(40))
    for layer in batch_norms(tower):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(layer.pass_mean)
        layer.running_var.copy_(layer.pass_var)
    assert norms
    return Classifier(tower, width=embedding_width(0.25), num_classes=len(COLORS[:4]))


def central(side_px: int) -> Tensor:
    """Return the images as evaluation sees them."""
    return to_tensor(evaluation_crops(CONTENTS, side_px=side_px))


def by_hand(classifier: Classifier, recipe: Recipe, *, block: int, seed: int = 0) -> list[float]:
    """Take the steps of a recipe in one process with torch's own SGD; return the losses."""
    classifier.begin(recipe)
    trained = {n: p for n, p in classifier.named_parameters() if p.requires_grad}
    initial = {name: parameter.detach().clone() for name, parameter in trained.items()}
    head = {"params": list(classifier.head.parameters()), "share": 1.0}
    groups = [head, {"params": list(classifier.tower.parameters()), "share": recipe.tower_share}]
    groups = groups[: 1 if recipe.trained == "head" else 2]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, weight_decay=recipe.weight_decay)
    steps = recipe.duration.steps
    assert steps is not None
    losses: list[float] = []
    for step in range(steps):
        positions = np.arange(step * recipe.batch_size, (step + 1) * recipe.batch_size)
        rows = rows_at(positions, num_rows=len(CONTENTS), seed=seed)
        contents = [CONTENTS[row] for row in rows]
        crops = training_crops(contents, positions, side_px=recipe.train_px, seed=seed)
        pixels = to_tensor(crops)
        soft = F.one_hot(LABELS[rows], 4).float()
        of_blocks: list[Tensor] = []
        statistics: list[Tensor] = []
        for number, start in enumerate(range(0, recipe.batch_size, block)):
            own = slice(start, start + block)
            torch.manual_seed(seed_at(seed, 1, step, number))
            mix = draw_mix(block, alpha=recipe.mixup, seed=seed_at(seed, 1, step, number))
            mixed = mix.share * pixels[own] + (1 - mix.share) * pixels[own][mix.partner_B]
            target = mix.share * soft[own] + (1 - mix.share) * soft[own][mix.partner_B]
            of_blocks.append(F.cross_entropy(classifier.logits(mixed), target))
            if recipe.trained == "all" and recipe.batch_norm == "trained":
                statistics.append(pass_statistics(batch_norms(classifier)))
        loss = torch.stack(of_blocks).mean()
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in trained.items():
            assert parameter.grad is not None
            parameter.grad += recipe.decay_to_initial * (parameter.detach() - initial[name])
        factor = falling_factor(recipe.falls, step, total_steps=steps)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * group["share"] * factor
        optimizer.step()
        if statistics:
            move_running_statistics(classifier, statistics, share=1 / len(statistics))
        losses.append(loss.item())
    return losses


def evaluation_loss(classifier: Classifier, recipe: Recipe) -> float:
    """Return the loss on the images' central crops."""
    classifier.eval()
    with torch.inference_mode():
        logits = classifier.logits(central(recipe.eval_px))
    return F.cross_entropy(logits, LABELS).item()


def images(read: Callable[[int], bytes] = CONTENTS.__getitem__) -> LabeledImages:
    """Return the images as the engine takes them."""
    reads = [partial(read, at) for at in range(len(CONTENTS))]
    return LabeledImages(reads=reads, label_N=LABELS.numpy())


def run_of(
    recipe: Recipe,
    folder: str,
    *,
    zero_stage: Any = 2,
    hang_minutes: float | None = None,
    **given: Any,
) -> FineTuning:
    """Return a stage on the engine, in blocks of four with a checkpoint each third step."""
    engine = FineTuneEngine(
        block_size=BLOCK,
        zero=ZeroConfig(stage=zero_stage, persistence_threshold=0),
        checkpoint_every_steps=3,
        hang_minutes=hang_minutes,
        decode_threads=1,
    )
    values = {"words": "toy", "images": images(), "num_classes": 4, "made_from": {}}
    return FineTuning(**(values | given), recipe=recipe, engine=engine, seed=SEED, folder=folder)  # pyright: ignore[reportArgumentType]


def trained(folder: str, ranks: Any, name: str, stage: int) -> dict[str, Tensor]:
    """Return the weights that the engine comes to by a recipe."""
    run = run_of(RECIPES[name], f"{folder}/{name}-{stage}", zero_stage=stage)
    return fine_tune(run, new_classifier(), None, ranks).weights


def on_ranks(folder: str, cases: list[tuple[str, int]]) -> None:
    """Be one of several ranks; note what each case comes to, and what the network then says."""
    torch.set_num_threads(1)
    with zero.joined_ranks() as ranks:
        found: dict[Any, Any] = {case: trained(folder, ranks, *case) for case in cases}
        classifier = new_classifier()
        classifier.load_state_dict(found[cases[0]])
        said = logits_of(
            images(), classifier, None, side_px=40, num_threads=1, ranks=ranks, at=Unwatched()
        )
        parts = from_every_rank(ranks, [(start, scores) for start, scores in said])
        groups = sorted((group for part in parts for group in part), key=lambda group: group[0])
        found["scores"] = torch.cat([scores for _, scores in groups])
        if ranks.rank == 0:
            Path(folder, "found.pkl").write_bytes(pickle.dumps(found))


def eight_steps() -> Recipe:
    """Return a recipe with a checkpoint behind each third step, and what is drawn for each."""
    return replace(RECIPES["as in BiT"], duration=Duration(steps=8))


def read_by(folder: str, *, kill_at: int = 0) -> tuple[int, dict[str, Tensor]]:
    """Be the only rank of a run of eight steps; return how often it reads, and its weights.

    At a read, once there is the first checkpoint, it is killed; 0 kills nothing.
    """
    torch.set_num_threads(1)
    count = 0

    def read(at: int) -> bytes:
        nonlocal count
        count += 1
        while count == kill_at:
            if Path(folder, "checkpoints", name_of(3)).exists():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)
        return CONTENTS[at]

    with zero.joined_ranks() as ranks:
        run = run_of(eight_steps(), f"{folder}/checkpoints", images=images(read))
        weights = fine_tune(run, new_classifier(), None, ranks).weights
    return count, weights


def until_killed(folder: str) -> None:
    """Be a rank that is killed when it reads for its sixth step."""
    read_by(folder, kill_at=5 * 16 + 5)


def until_stopped(folder: str, during: int) -> None:
    """Be a rank; the last is asked to stop while it takes a step."""
    torch.set_num_threads(1)
    take_step = zero.take_step
    count = 0

    with zero.joined_ranks() as ranks:

        def take_and_ask(*arguments: Any) -> float:
            nonlocal count
            count += 1
            if count == during and ranks.rank == ranks.world_size - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return take_step(*arguments)

        with patch.object(zero, "take_step", take_and_ask):
            run = run_of(eight_steps(), f"{folder}/checkpoints")
            fine_tune(run, new_classifier(), None, ranks)


def until_hung(folder: str) -> None:
    """Be the only rank of a run whose third step waits for its first image."""
    torch.set_num_threads(1)
    count = 0

    def read(at: int) -> bytes:
        nonlocal count
        count += 1
        if count == 2 * 16 + 1:
            time.sleep(60)  # the watch ends it long before
        return CONTENTS[at]

    with zero.joined_ranks() as ranks:
        run = run_of(RECIPES["head"], folder, hang_minutes=0.1, images=images(read))
        fine_tune(run, new_classifier(), None, ranks)
