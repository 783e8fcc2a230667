"""Gradient descent beside PyTorch's own optimizer and autograd, batch for batch."""

# ruff: noqa: N806  # capitals are shape suffixes

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from linear_sets import labeled, random_set

from openalign.evaluate.linear import sgd
from openalign.evaluate.linear.head import LinearHead, num_right
from openalign.evaluate.linear.rows import Labeled, threads
from openalign.evaluate.linear.sgd import Descent, descend, num_steps
from openalign.train.data.order import rows_at

DESCENT = Descent(
    steps=30,
    batch_size=16,
    learning_rate=0.5,
    factor=lambda step: 0.2 ** (step // 10),
    weight_decay=0.01,
)


def descended(
    chosen: Labeled, descent: Descent, *, num_threads: int = 1, seed: int = 3
) -> LinearHead:
    with threads(num_threads) as on:
        return descend(chosen, descent, on, seed=seed)


def slow_descend(chosen: Labeled, descent: Descent, *, seed: int) -> torch.nn.Linear:
    """Train a layer as anyone would, on entries of unit variance."""
    image_GD = (chosen.image_GD - chosen.image_GD.mean(axis=0)) / np.sqrt(
        chosen.image_GD.var(axis=0).mean()
    )
    layer = torch.nn.Linear(chosen.width, chosen.num_classes)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(
        layer.parameters(), lr=1.0, momentum=0.9, weight_decay=descent.weight_decay
    )
    for step in range(descent.steps):
        positions = np.arange(step * descent.batch_size, (step + 1) * descent.batch_size)
        batch = rows_at(positions, num_rows=len(chosen), seed=seed)
        optimizer.param_groups[0]["lr"] = descent.learning_rate * descent.factor(step)
        optimizer.zero_grad()
        scores = layer(torch.from_numpy(image_GD[batch]))
        F.cross_entropy(scores, torch.from_numpy(chosen.label_N[batch])).backward()
        optimizer.step()
    return layer


@pytest.mark.parametrize("part", [5, 256], ids=["in parts", "whole batches"])
def test_it_is_pytorchs_momentum_and_weight_decay(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sgd, "_PART", part)
    monkeypatch.setattr(sgd, "_STEPS_AT_ONCE", 4)
    chosen = random_set()

    found = descended(chosen, DESCENT)

    expected = slow_descend(chosen, DESCENT, seed=3)
    rows = torch.from_numpy(chosen.image_GD)
    scaled = (rows - rows.mean(dim=0)) / rows.var(dim=0, correction=0).mean().sqrt()
    torch.testing.assert_close(
        found.scores(rows).float(), expected(scaled).detach(), rtol=1e-4, atol=1e-4
    )


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sgd, "_PART", 5)
    dropping = replace(DESCENT, dropout=0.3)

    one, several = (descended(random_set(), dropping, num_threads=n) for n in (1, 3))

    assert torch.equal(one.weight_CD, several.weight_CD)


def test_the_seed_draws_the_order_and_the_dropped_features() -> None:
    whole = replace(DESCENT, batch_size=150)  # no order is left to draw
    dropping = replace(whole, dropout=0.5)
    chosen = random_set(num_rows=150)

    def weights(descent: Descent, seed: int) -> torch.Tensor:
        return descended(chosen, descent, seed=seed).weight_CD

    assert not torch.equal(weights(DESCENT, 1), weights(DESCENT, 2))
    assert torch.equal(weights(DESCENT, 1), weights(DESCENT, 1))
    torch.testing.assert_close(weights(whole, 1), weights(whole, 2), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(weights(dropping, 1), weights(dropping, 2), rtol=1e-2)


def test_dropout_keeps_the_mean_of_a_feature() -> None:
    """A step of one row from zero moves the weights along that row, kept features scaled up."""
    ones = np.ones((1, 4000), dtype=np.float32)
    two = labeled(np.concatenate([ones, -ones]), np.array([0, 0]), num_classes=2)
    once = Descent(steps=1, batch_size=1, learning_rate=1.0, factor=lambda _: 1.0, dropout=0.25)

    moved = descended(two, once).weight_CD[0].abs()

    # The mean is zero and the variance one. Half the softmax's mass is missing, so a kept feature
    # moves by 0.5 / 0.75.
    assert sorted(set(moved.tolist())) == pytest.approx([0.0, 2 / 3])
    assert float((moved == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_rows_that_are_all_alike_end_in_a_head() -> None:
    same = labeled(np.ones((6, 3), dtype=np.float32), np.array([0, 0, 0, 0, 1, 1]), num_classes=2)

    with threads(1) as on:
        assert num_right(descended(same, DESCENT), same, on) == 4


def test_a_batch_is_at_most_the_whole_set() -> None:
    chosen = random_set(num_rows=20)

    large, whole = (descended(chosen, replace(DESCENT, batch_size=size)) for size in (1024, 20))

    assert torch.equal(large.weight_CD, whole.weight_CD)


@pytest.mark.parametrize(
    ("epochs", "num_rows", "batch_size", "expected"),
    [
        pytest.param(100, 1_281_167, 1024, 125_114, id="ImageNet, the paper's frozen recipe"),
        pytest.param(1, 1024, 1024, 1, id="one batch an epoch"),
        pytest.param(1, 1025, 1024, 2, id="one row more"),
        pytest.param(3, 10, 1024, 3, id="fewer rows than a batch"),
    ],
)
def test_steps_of_some_epochs(epochs: int, num_rows: int, batch_size: int, expected: int) -> None:
    assert num_steps(epochs=epochs, num_rows=num_rows, batch_size=batch_size) == expected


def test_it_learns_overlapping_classes() -> None:
    chosen = random_set()

    head = descended(chosen, replace(DESCENT, steps=200, learning_rate=1.0))

    with threads(1) as on:
        assert num_right(head, chosen, on) > 0.7 * len(chosen)
