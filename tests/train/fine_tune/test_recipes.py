"""The paper's recipes (ALIGN §5.3), and their learning rates at single steps."""

import pytest

from openalign.train.fine_tune.recipes import (
    FINE_GRAINED_ALL,
    FINE_GRAINED_HEAD,
    IMAGENET_ALL,
    IMAGENET_HEAD,
    Recipe,
    vtab_recipe,
)
from openalign.train.fine_tune.schedule import falling_factor
from openalign.train.optim.schedule import total_steps
from openalign.train.sweep.bit import BIT_RANGES
from openalign.train.sweep.ranges import draw_trial


def rate(recipe: Recipe, step: int, *, of: int) -> float:
    return recipe.learning_rate * falling_factor(recipe.falls, step, total_steps=of)


@pytest.mark.parametrize(
    ("recipe", "step", "of", "expected"),
    [
        # ImageNet: 1,251.14 steps an epoch; a fifth after 30, 60 and 90 of 100 epochs.
        pytest.param(IMAGENET_HEAD, 0, 125_114, 0.1, id="head, first step"),
        pytest.param(IMAGENET_HEAD, 37_534, 125_114, 0.1, id="head, last step of 30 epochs"),
        pytest.param(IMAGENET_HEAD, 37_535, 125_114, 0.02, id="head, 31st epoch"),
        pytest.param(IMAGENET_HEAD, 125_113, 125_114, 0.0008, id="head, last step"),
        pytest.param(IMAGENET_ALL, 80_000, 125_114, 0.0004, id="all layers, 64th epoch"),
        pytest.param(FINE_GRAINED_HEAD, 0, 20_000, 0.01, id="cosine, first step"),
        pytest.param(FINE_GRAINED_HEAD, 10_000, 20_000, 0.005, id="cosine, half way"),
        # (1 + cos(pi / 3)) / 2 is 3/4, and a third of 20,001 steps is 6,667.
        pytest.param(FINE_GRAINED_ALL, 6_667, 20_001, 0.00075, id="cosine, a third"),
        pytest.param(FINE_GRAINED_ALL, 20_000, 20_000, 0.0, id="cosine, one step after the last"),
    ],
)
def test_the_learning_rate_of_a_step(recipe: Recipe, step: int, of: int, expected: float) -> None:
    assert rate(recipe, step, of=of) == pytest.approx(expected, abs=1e-12)


def test_a_hundred_epochs_of_imagenet() -> None:
    found = total_steps(IMAGENET_HEAD.duration, num_pairs=1_281_167, global_batch_size=1024)

    assert found == 125_114


def test_resolutions_stand_as_about_four_to_five() -> None:
    recipes = (IMAGENET_HEAD, IMAGENET_ALL, FINE_GRAINED_HEAD, FINE_GRAINED_ALL)

    assert [(r.train_px, r.eval_px) for r in recipes] == [
        (289, 360),
        (475, 600),
        (289, 360),
        (289, 360),
    ]
    assert all(0.79 < r.train_px / r.eval_px < 0.81 for r in recipes)


def test_a_trial_of_vtab_is_a_recipe() -> None:
    trial = draw_trial(BIT_RANGES, 3, seed=0)

    recipe = vtab_recipe(trial)

    assert recipe.trained == "all"
    assert recipe.learning_rate == trial["learning_rate"]
    assert recipe.duration.steps == trial["updates"]
    assert (recipe.train_px, recipe.eval_px) == (trial["resolution_px"],) * 2
    assert (recipe.dropout, recipe.mixup) == (trial["dropout"], trial["mixup"])
    assert (recipe.decay_to_initial, recipe.weight_decay) == (trial["decay"], 0.0)
    # A tenth after 30, 60 and 90 % of the updates.
    factors = [falling_factor(recipe.falls, step, total_steps=10) for step in (2, 3, 6, 9)]
    assert factors == pytest.approx([1.0, 0.1, 0.01, 0.001])
