"""SGD with momentum, beside three steps that are worked out by hand."""

from typing import Any

import pytest
import torch
from torch import nn

from openalign.train.optim.momentum import MomentumSgd

GRADIENTS = (4.0, 2.0, -1.0)
"""Of three steps, at the rates 0.5, 0.5 and 0.25."""


def places(*, start: float, **decays: float) -> list[float]:
    """Return where a weight is after each of the three steps, with a momentum of 1/2."""
    weight = nn.Parameter(torch.tensor([start]))
    group: dict[str, Any] = {
        "params": [weight],
        "lr": 0.5,
        "peak": 0.5,
        "momentum": 0.5,
        "weight_decay": 0.0,
        "decay_to_initial": 0.0,
    }
    optimizer = MomentumSgd([group | decays], keeps_initial="decay_to_initial" in decays)
    found: list[float] = []
    for gradient, factor in zip(GRADIENTS, (1.0, 1.0, 0.5), strict=True):
        weight.grad = torch.tensor([gradient])
        optimizer.set_factor(factor)
        optimizer.step()
        found.append(weight.item())
    return found


def test_the_momentum_is_added_up_without_the_rate() -> None:
    # Gathered: 4; 2 + 2 = 4; 2 - 1 = 1.
    assert places(start=8.0) == pytest.approx([8 - 2, 6 - 2, 4 - 0.25])


def test_weights_decay_towards_zero_through_the_momentum() -> None:
    # Gathered: 4 + 0.25 * 8 = 6; 3 + 2 + 0.25 * 5 = 6.25; 3.125 - 1 + 0.25 * 1.875 = 2.59375.
    expected = [8 - 3, 5 - 3.125, 1.875 - 0.6484375]
    assert places(start=8.0, weight_decay=0.25) == pytest.approx(expected)


def test_weights_decay_towards_those_of_the_start() -> None:
    # Gathered: 4; 2 + 2 - 0.5 * 2 = 3; 1.5 - 1 - 0.5 * 3.5 = -1.25.
    expected = [8 - 2, 6 - 1.5, 4.5 + 0.3125]
    assert places(start=8.0, decay_to_initial=0.5) == pytest.approx(expected)


def test_both_decays_add_up() -> None:
    # Gathered: 4 + 2 = 6; 3 + 2 + 0.25 * 5 - 0.5 * 3 = 4.75; then at 2.625
    # 2.375 - 1 + 0.25 * 2.625 - 0.5 * 5.375 = -0.65625.
    found = places(start=8.0, weight_decay=0.25, decay_to_initial=0.5)
    assert found == pytest.approx([8 - 3, 5 - 2.375, 2.625 + 0.1640625])
