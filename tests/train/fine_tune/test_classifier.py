"""A classifier through both stages, in one process: what each trains, and at which rates."""

import numpy as np
import pytest
import torch
from fine_tune_checks import ALL, CONTENTS, HEAD, LABELS, by_hand, evaluation_loss, new_classifier
from torch import Tensor, nn

from openalign.train.data.pixel_batch import PixelBatch
from openalign.train.fine_tune.classifier import Classifier, build_sgd
from openalign.train.fine_tune.crops import evaluation_crops
from openalign.train.fine_tune.recipes import IMAGENET_ALL, Recipe
from openalign.train.model.towers import Pass


@pytest.fixture
def classifier() -> Classifier:
    return new_classifier()


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

    by_hand(classifier, HEAD, block=16)

    of_head = evaluation_loss(classifier, HEAD)
    assert of_head < np.log(4) - 0.01
    assert changed(tower, copies(classifier.tower)) == set()

    by_hand(classifier, ALL, block=16)

    moved = changed(tower, copies(classifier.tower))
    assert evaluation_loss(classifier, ALL) < of_head
    assert any("conv" in name for name in moved)
    assert {name for name in moved if "running" in name or "num_batches" in name} == set()


@pytest.mark.parametrize(
    ("recipe", "forward_passes"),
    [
        pytest.param(HEAD, 2, id="head: a tower without gradients has nothing to run again for"),
        pytest.param(ALL, 4, id="all: each of both blocks again in the backward pass"),
    ],
)
def test_blocks_run_again_in_the_backward_pass_where_the_tower_is_trained(
    classifier: Classifier, recipe: Recipe, forward_passes: int
) -> None:
    count = 0

    def counts(*_: object) -> None:
        nonlocal count
        count += 1

    classifier.begin(recipe)
    classifier.tower.register_forward_hook(counts)
    passes = [Pass(start, start + 4, 0, seed=start) for start in (0, 4)]
    pixels = PixelBatch(
        images=torch.from_numpy(evaluation_crops(CONTENTS[:8], side_px=32)),
        crop_px=32,
        warps=None,
        color_scaling=None,
    )

    classifier(pixels.to(torch.device("cpu")), LABELS[:8], passes).backward()

    assert count == forward_passes
    assert classifier.head.weight.grad is not None


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
    optimizer = build_sgd(classifier, IMAGENET_ALL)

    optimizer.set_factor(0.2)

    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.002, 0.0002])
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]
    numbers = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert sum(numbers) == sum(p.numel() for p in classifier.parameters())
    assert numbers[0] == sum(p.numel() for p in classifier.head.parameters())
    assert len(build_sgd(classifier, HEAD).param_groups) == 1
