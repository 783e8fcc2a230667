"""Multinomial logistic regression by L-BFGS, as in CLIP's linear probe.

What is minimized is scikit-learn's objective with `C = 1 / penalty`: the cross-entropy summed over
rows, plus half the penalty times the squared weights. The bias is not penalized. Two substitutions
leave the minimum where it is and halve the iterations: rows are centered, which the bias makes up
for, and variables are scaled to a curvature of about one.
"""

# ruff: noqa: N806  # capitals are shape suffixes

import math
from typing import NamedTuple

import torch
from torch import Tensor

from openalign.evaluate.linear.cross_entropy import gradient
from openalign.evaluate.linear.head import LinearHead
from openalign.evaluate.linear.rows import Labeled, Threads, moments

EXACT_GRADIENT = 1e-7
"""Where a fit ends: the largest part of the gradient of the mean loss by the scaled variables."""

ROUGH_GRADIENT = 1e-5
"""Where one ends that only tells penalties apart: sooner, the more so the smaller the penalty.
scikit-learn's own bound is 1e-4."""

_CHANGE_AT_MOST = 1e-12
"""Where it ends too: the mean loss, or every variable, moved by less."""

_REMEMBERED_STEPS = 10


class Fit(NamedTuple):
    """A head, and how it was found."""

    head: LinearHead
    iterations: int
    converged: bool
    """Whether it ended before the last iteration that was allowed."""


def fit(
    labeled: Labeled,
    *,
    penalty: float,
    max_iterations: int,
    on: Threads,
    gradient_at_most: float = EXACT_GRADIENT,
) -> Fit:
    """Return the head of a penalty: nothing is drawn, and threads change no bit."""
    num_rows, num_classes = len(labeled), labeled.num_classes
    mean_D, variance = moments(labeled, on)
    # A row's share of the curvature: the softmax's where all classes are alike, and the penalty's.
    softmax = (num_classes - 1) / num_classes**2
    weight_scale = 1.0 / math.sqrt(penalty / num_rows + softmax * variance)
    bias_scale = 1.0 / math.sqrt(softmax)
    scaled_CD = torch.zeros(num_classes, labeled.width, dtype=torch.float64)
    scaled_C = torch.zeros(num_classes, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        [scaled_CD, scaled_C],
        max_iter=max_iterations,
        max_eval=100 * max_iterations,
        tolerance_grad=gradient_at_most,
        tolerance_change=_CHANGE_AT_MOST,
        history_size=_REMEMBERED_STEPS,
        line_search_fn="strong_wolfe",
    )

    def mean_loss() -> Tensor:
        weight_CD, bias_C = scaled_CD * weight_scale, scaled_C * bias_scale
        found = gradient(labeled, weight_CD, bias_C, on, center_D=mean_D)
        penalized_CD = found.weight_CD.add_(weight_CD, alpha=penalty)
        scaled_CD.grad = penalized_CD.mul_(weight_scale / num_rows)
        scaled_C.grad = found.bias_C.mul_(bias_scale / num_rows)
        return (found.loss + 0.5 * penalty * weight_CD.square().sum()) / num_rows

    optimizer.step(mean_loss)  # pyright: ignore[reportArgumentType]  # it takes the loss as it is
    iterations = int(optimizer.state[scaled_CD]["n_iter"])
    weight_CD = scaled_CD * weight_scale
    head = LinearHead(weight_CD=weight_CD, bias_C=scaled_C * bias_scale - weight_CD @ mean_D)
    return Fit(head=head, iterations=iterations, converged=iterations < max_iterations)
