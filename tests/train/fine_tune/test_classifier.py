"""A classifier through both stages, on one process: colors of shapes, told by a tiny tower."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from tiny_training import COLORS, SHAPES, jpeg_of, tiny_config
from torch import Tensor, nn
from transformers import AlignModel

from openalign.train.config import Duration
from openalign.train.data.order import rows_at
from openalign.train.fine_tune.classifier import Classifier, parameter_groups, set_factor
from openalign.train.fine_tune.crops import evaluation_pixels, training_pixels
from openalign.train.fine_tune.losses import (
    add_decay_to_initial,
    draw_mix,
    initial_weights,
    mixed_cross_entropy,
    mixed_pixels,
)
from openalign.train.fine_tune.recipes import (
    FINE_GRAINED_ALL,
    FINE_GRAINED_HEAD,
    IMAGENET_ALL,
    Recipe,
    vtab_recipe,
)
from openalign.train.fine_tune.schedule import falling_factor
from openalign.train.model.towers import align_config, build_towers, embedding_width
from openalign.train.sweep.bit import BIT_RANGES
from openalign.train.sweep.ranges import draw_trial

NAMED = [(color, shape) for color in COLORS[:4] for shape in SHAPES]
CONTENTS = [jpeg_of(color, shape) for color, shape in NAMED]
LABELS = torch.tensor([COLORS.index(color) for color, _ in NAMED])
TINY = {"train_px": 32, "eval_px": 40, "batch_size": 8}
HEAD = replace(FINE_GRAINED_HEAD, **TINY, duration=Duration(steps=25), learning_rate=1e-3)
ALL = replace(FINE_GRAINED_ALL, **TINY, duration=Duration(steps=15), learning_rate=1e-4)


@pytest.fixture
def classifier() -> Classifier:
    drawn = build_towers(tiny_config(), vocabulary_size=50).align.vision_model
    tower = AlignModel(align_config(tiny_config().model, vocabulary_size=50)).vision_model
    tower.load_state_dict(drawn.state_dict())
    norms = [layer for layer in tower.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = None
    with torch.no_grad():  # else all images look alike to it
        tower(pixel_values=evaluation_pixels(CONTENTS, side_px=HEAD.eval_px))
    for layer in norms:
        layer.momentum = 0.1
    return Classifier(tower, width=embedding_width(0.25), num_classes=len(COLORS[:4]))


def fine_tune(classifier: Classifier, recipe: Recipe, *, seed: int = 0) -> list[float]:
    """Take the steps of a recipe, and return the losses: how the parts fit together."""
    classifier.begin(recipe)
    initial = initial_weights(classifier)
    optimizer = torch.optim.SGD(parameter_groups(classifier, recipe))
    steps = recipe.duration.steps
    assert steps is not None
    losses: list[float] = []
    for step in range(steps):
        positions = np.arange(step * recipe.batch_size, (step + 1) * recipe.batch_size)
        rows = rows_at(positions, num_rows=len(CONTENTS), seed=seed)
        pixels = training_pixels(
            [CONTENTS[row] for row in rows], positions, side_px=recipe.train_px, seed=seed
        )
        mix = draw_mix(len(rows), step, alpha=recipe.mixup, seed=seed)
        loss = mixed_cross_entropy(classifier(mixed_pixels(pixels, mix)), LABELS[rows], mix)
        optimizer.zero_grad()
        loss.backward()
        add_decay_to_initial(classifier, initial, strength=recipe.decay_to_initial)
        set_factor(optimizer, falling_factor(recipe.falls, step, total_steps=steps))
        optimizer.step()
        losses.append(loss.item())
    return losses


def evaluation_loss(classifier: Classifier, recipe: Recipe) -> float:
    classifier.eval()
    with torch.inference_mode():
        logits = classifier(evaluation_pixels(CONTENTS, side_px=recipe.eval_px))
    return F.cross_entropy(logits, LABELS).item()


def copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_new_head_says_that_all_classes_are_alike(classifier: Classifier) -> None:
    assert evaluation_loss(classifier, HEAD) == pytest.approx(np.log(4), rel=1e-6)


@pytest.mark.slow
def test_the_head_learns_on_a_tower_that_does_not_move_and_then_all_layers_do(
    classifier: Classifier,
) -> None:
    tower = copies(classifier.tower)

    fine_tune(classifier, HEAD)

    of_head = evaluation_loss(classifier, HEAD)
    assert of_head < np.log(4) - 0.01
    assert changed(tower, copies(classifier.tower)) == set()

    fine_tune(classifier, ALL)

    moved = changed(tower, copies(classifier.tower))
    assert evaluation_loss(classifier, ALL) < of_head
    assert any("conv" in name for name in moved)
    assert {name for name in moved if "running" in name or "num_batches" in name} == set()


def test_statistics_move_where_a_recipe_trains_batch_norms(classifier: Classifier) -> None:
    before = copies(classifier.tower)
    recipe = replace(IMAGENET_ALL, **TINY, duration=Duration(steps=1))

    fine_tune(classifier, recipe)

    assert any("running_mean" in name for name in changed(before, copies(classifier.tower)))


def test_a_stage_outlives_a_look_at_the_evaluation(classifier: Classifier) -> None:
    classifier.begin(ALL)
    classifier.eval()
    classifier.train()
    norms = [m for m in classifier.tower.modules() if isinstance(m, nn.BatchNorm2d)]

    assert norms
    assert not any(norm.training for norm in norms)
    assert classifier.tower.training
    classifier.begin(HEAD)
    assert not classifier.tower.training
    assert classifier.head.training


def test_the_tower_learns_at_a_tenth_of_the_heads_rate_on_imagenet(
    classifier: Classifier,
) -> None:
    optimizer = torch.optim.SGD(parameter_groups(classifier, IMAGENET_ALL))

    set_factor(optimizer, 0.2)

    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.002, 0.0002])
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]
    numbers = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert sum(numbers) == sum(p.numel() for p in classifier.parameters())
    assert numbers[0] == sum(p.numel() for p in classifier.head.parameters())
    assert len(parameter_groups(classifier, HEAD)) == 1


def test_a_trial_of_vtab_takes_its_steps(classifier: Classifier) -> None:
    trial = draw_trial(BIT_RANGES, 0, seed=0) | {"mixup": 0.4, "dropout": 0.5}
    recipe = replace(vtab_recipe(trial), **TINY, duration=Duration(steps=2))

    losses = fine_tune(classifier, recipe)

    assert classifier.dropout.p == 0.5
    assert losses[0] == pytest.approx(np.log(4), rel=1e-5)
    assert losses[1] != losses[0]
