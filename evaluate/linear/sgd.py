"""A linear head by stochastic gradient descent with momentum, from weights of zero.

Published learning rates are for activations of about unit size, and an entry of a unit row is far
smaller. So rows are centered, and scaled by one factor to entries of unit variance, both from the
rows that are learned from. The head that comes back takes rows as they are.

Batches go through the rows in the trainer's order: every epoch is a permutation of its own, and
the last batch of an epoch is filled from the next. The order and the dropped features are functions
of the seed. A batch is cut into parts of a fixed size, so threads change no bit.

Shape suffixes:
    B  rows of a part
    D  embedding width
    C  classes
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openalign.evaluate.linear.cross_entropy import Gradient, rows_gradient, total_of
from openalign.evaluate.linear.head import LinearHead
from openalign.evaluate.linear.rows import Labeled, Threads, moments
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.train.data.order import rows_at, seed_at

MOMENTUM = 0.9
"""Of the paper (§5.3), of BiT and of VTAB alike."""

_PART = 256
"""Rows of a batch that one thread takes."""

_ALIKE = 1e-10
"""Mean squared distance from the mean row below which float32 tells no two unit rows apart."""

_STEPS_AT_ONCE = 256
"""Steps whose rows are drawn together: a draw costs as much for one row as for some thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How a head is trained."""

    steps: int
    batch_size: int
    """Rows a step; a smaller set goes in whole."""

    learning_rate: float
    """Before the factor of a step."""

    factor: Callable[[int], float]
    """The share of the learning rate that a step takes, counted from 0."""

    weight_decay: float = 0.0
    """Added to the gradient as this times the weights, biases too; their start is zero, so this is
    also BiT's decay to the initial weights."""

    dropout: float = 0.0
    """Chance that a feature of a row is zero in a step; the others are scaled up."""


def num_steps(*, epochs: float, num_rows: int, batch_size: int) -> int:
    """Return the steps of some passes over the rows, rounded up."""
    return math.ceil(epochs * num_rows / min(batch_size, num_rows))


def descend(labeled: Labeled, descent: Descent, on: Threads, *, seed: int) -> LinearHead:
    """Return the head after the last step. Steps are taken in float32."""
    batch_size = min(descent.batch_size, len(labeled))
    mean_D, variance = moments(labeled, on)
    alike = variance * labeled.width < _ALIKE
    center_D, scale = mean_D.float(), 1.0 if alike else 1.0 / math.sqrt(variance)
    dropped = torch.Generator().manual_seed(seed_at(seed, 1))
    variables = torch.zeros(labeled.num_classes, labeled.width), torch.zeros(labeled.num_classes)
    velocities = tuple(torch.zeros_like(variable) for variable in variables)
    for step, numbers in enumerate(_batches(descent.steps, batch_size, len(labeled), seed=seed)):
        row_BD, label_B = labeled.take(numbers)
        row_BD = row_BD.sub_(center_D).mul_(scale)
        if descent.dropout:
            kept_BD = torch.rand(row_BD.shape, generator=dropped) >= descent.dropout
            row_BD.mul_(kept_BD).div_(1.0 - descent.dropout)
        found = _batch_gradient(row_BD, label_B, *variables, on)
        rate = descent.learning_rate * descent.factor(step)
        slopes = (found.weight_CD, found.bias_C)
        for variable, velocity, slope in zip(variables, velocities, slopes, strict=True):
            slope.div_(batch_size).add_(variable, alpha=descent.weight_decay)
            velocity.mul_(MOMENTUM).add_(slope)
            variable.sub_(velocity, alpha=rate)
    weight_CD = variables[0].double() * scale
    return LinearHead(weight_CD=weight_CD, bias_C=variables[1].double() - weight_CD @ mean_D)


def _batches(steps: int, batch_size: int, num_rows: int, *, seed: int) -> Iterator[Ints]:
    """Yield the rows of each step."""
    for first in range(0, steps, _STEPS_AT_ONCE):
        count = min(_STEPS_AT_ONCE, steps - first)
        positions = np.arange(first * batch_size, (first + count) * batch_size, dtype=np.int64)
        yield from rows_at(positions, num_rows=num_rows, seed=seed).reshape(count, batch_size)


def _batch_gradient(
    row_BD: Tensor, label_B: Tensor, weight_CD: Tensor, bias_C: Tensor, on: Threads
) -> Gradient:
    def of_part(start: int) -> Gradient:
        part = slice(start, start + _PART)
        return rows_gradient(row_BD[part], label_B[part], weight_CD, bias_C)

    return total_of(on.map(of_part, range(0, len(row_BD), _PART)))
