import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from openalign.train.optim.lamb import ShardedOptimizer, build_optimizer
from openalign.train.updates import AdamW, Lamb, Temperature

from tiny_training import tiny_config  # isort: skip


def group(params: list[nn.Parameter], **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "params": params,
        "lr": 0.1,
        "peak": 0.1,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.0,
        "adapt": False,
        "trust_ratio_at_most": 10.0,
        "relative": False,
        "at_least": None,
    }
    return values | changes


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def step(
    optimizer: ShardedOptimizer, parameters: list[nn.Parameter], gradients: list[list[float]]
) -> None:
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = torch.tensor(gradient)
    optimizer.start_step()
    optimizer.step()


def test_the_first_step_is_the_learning_rate_times_the_parameters_norm() -> None:
    """Adam's first update is the gradient's sign: norm sqrt 2; the parameter's norm is 5."""
    weight = parameter(3.0, 4.0)

    step(ShardedOptimizer([group([weight], adapt=True)]), [weight], [[0.2, -7.0]])

    way = 0.1 * 5 / math.sqrt(2)
    assert weight.tolist() == pytest.approx([3 - way, 4 + way], rel=1e-5)


def test_each_parameter_has_a_ratio_of_its_own() -> None:
    small, large = parameter(0.3, 0.4), parameter(3.0, 4.0)
    optimizer = ShardedOptimizer([group([small, large], adapt=True)])

    step(optimizer, [small, large], [[1.0, 1.0], [1.0, 1.0]])

    assert small.tolist() == pytest.approx([0.3 - 0.05 / 2**0.5, 0.4 - 0.05 / 2**0.5], rel=1e-5)
    assert large.tolist() == pytest.approx([3 - 0.5 / 2**0.5, 4 - 0.5 / 2**0.5], rel=1e-5)
    assert optimizer.trust_ratios.smallest_and_largest() == pytest.approx(
        (0.5 / 2**0.5, 5 / 2**0.5), rel=1e-5
    )


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(20.0, 20.0 - 0.1 * 10.0, id="above the bound: ratio 10, not 20"),
        pytest.param(9.0, 9.0 - 0.1 * 9.0, id="below the bound"),
        pytest.param(0.0, -0.1, id="at zero: ratio 1, or it would never move"),
    ],
)
def test_the_ratio_is_bounded(start: float, expected: float) -> None:
    weight = parameter(start)

    step(ShardedOptimizer([group([weight], adapt=True)]), [weight], [[1.0]])

    assert weight.item() == pytest.approx(expected, rel=1e-5)


def test_decay_is_part_of_what_the_ratio_scales() -> None:
    """Update 1 + 0.5 * 4 = 3, norm of the parameter 4: ratio 4/3, so the way is 0.1 * 4."""
    weight = parameter(4.0)

    step(ShardedOptimizer([group([weight], adapt=True, weight_decay=0.5)]), [weight], [[1.0]])

    assert weight.item() == pytest.approx(3.6, rel=1e-5)


def test_without_adaptation_it_is_adamw() -> None:
    draw = torch.Generator().manual_seed(0)
    ours = [nn.Parameter(torch.randn(3, 4, generator=draw)) for _ in range(2)]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    own = ShardedOptimizer([group(ours, weight_decay=0.3, lr=0.01)])
    reference = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.3)

    for _ in range(5):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(3, 4, generator=draw)
            other.grad = mine.grad.clone()
        own.step()
        reference.step()

    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def by_the_formulas(
    weight: Tensor, gradients: list[Tensor], *, decay: float, adapt: bool
) -> Tensor:
    """Return the weights after LAMB's steps (You et al., 2020, algorithm 2), in float64."""
    rate, beta1, beta2, eps = 0.1, 0.9, 0.999, 1e-8
    weight, mean, square = weight.double(), torch.zeros(()), torch.zeros(())
    for number, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient.double()
        square = beta2 * square + (1 - beta2) * gradient.double() ** 2
        update = mean / (1 - beta1**number) / ((square / (1 - beta2**number)).sqrt() + eps)
        update = update + decay * weight
        ratio = min(weight.norm() / update.norm(), 10.0) if adapt else 1.0
        weight = weight - rate * ratio * update
    return weight


@pytest.mark.parametrize("adapt", [True, False])
def test_steps_are_those_of_the_formulas_whatever_the_shape(*, adapt: bool) -> None:
    """Kernels go through 8 or 16 elements at once, and one by one through what is left."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(1,), (7,), (8, 2), (31, 33), (4, 3, 5, 5)]
    weights = [torch.randn(shape, generator=draw) for shape in shapes]
    ours = [nn.Parameter(weight.clone()) for weight in weights]
    steps = [[torch.randn(shape, generator=draw) for shape in shapes] for _ in range(4)]
    own = ShardedOptimizer([group(ours, weight_decay=0.3, adapt=adapt)])

    for gradients in steps:
        for mine, gradient in zip(ours, gradients, strict=True):
            mine.grad = gradient
        ours[-1].grad = gradients[-1].contiguous(memory_format=torch.channels_last)
        own.step()

    for number, (mine, weight) in enumerate(zip(ours, weights, strict=True)):
        seen = [gradients[number] for gradients in steps]
        expected = by_the_formulas(weight, seen, decay=0.3, adapt=adapt)
        torch.testing.assert_close(mine.double(), expected, rtol=1e-5, atol=1e-6)


def test_a_relative_step_is_a_share_of_the_value() -> None:
    temperature = parameter(0.5)

    step(ShardedOptimizer([group([temperature], relative=True, lr=0.01)]), [temperature], [[-3.0]])

    assert temperature.item() == pytest.approx(0.505, rel=1e-5)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(0.0105, 0.0100, id="would pass the bound"),
        pytest.param(0.0120, 0.0108, id="stays above it"),
    ],
)
def test_the_temperature_has_a_floor(start: float, expected: float) -> None:
    temperature = parameter(start)
    rule = group([temperature], relative=True, at_least=0.01)

    step(ShardedOptimizer([rule]), [temperature], [[3.0]])

    assert temperature.item() == pytest.approx(expected, rel=1e-4)


def test_a_factor_scales_every_groups_own_peak() -> None:
    one, two = parameter(1.0), parameter(1.0)
    optimizer = ShardedOptimizer([group([one], peak=0.1), group([two], peak=0.02)])

    optimizer.set_factor(0.5)

    assert [g["lr"] for g in optimizer.param_groups] == [0.05, 0.01]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2)
        self.temperature = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        # (matrices, vectors, temperature), each (weight decay, adapted)
        pytest.param(Lamb(), ((1e-5, True), (0.0, False)), id="LAMB"),
        pytest.param(
            Lamb(decayed="all", adapted="all"), ((1e-5, True), (1e-5, True)), id="LAMB, all"
        ),
        pytest.param(Lamb(adapted="all"), ((1e-5, True), (0.0, True)), id="LAMB, all adapted"),
        pytest.param(AdamW(weight_decay=0.1), ((0.1, False), (0.0, False)), id="AdamW"),
        pytest.param(AdamW(decayed="all"), ((1e-5, False), (1e-5, False)), id="AdamW, all"),
    ],
)
def test_what_decays_and_adapts_is_decided_in_one_place(
    optimizer: Lamb | AdamW, expected: tuple[tuple[float, bool], ...]
) -> None:
    config = tiny_config(optimizer=optimizer, temperature=Temperature(learning_rate=0.5))

    groups = build_optimizer(Model(), config).param_groups

    assert [(g["weight_decay"], g["adapt"]) for g in groups] == [*expected, (0.0, False)]
    assert [len(g["params"]) for g in groups] == [1, 3, 1]
    assert [g["relative"] for g in groups] == [False, False, True]
    assert groups[2]["peak"] == 0.5
