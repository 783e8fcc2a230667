"""Softmax cross-entropy of a linear head, and its gradient.

Shape suffixes:
    B  rows of a block
    D  embedding width
    C  classes
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from openalign.evaluate.linear.rows import Labeled, Threads, over_blocks


class Gradient(NamedTuple):
    """Sums over rows."""

    loss: Tensor
    weight_CD: Tensor
    bias_C: Tensor


def gradient(
    labeled: Labeled, weight_CD: Tensor, bias_C: Tensor, on: Threads, *, center_D: Tensor
) -> Gradient:
    """Return the loss of all rows, each less a center, and its gradient; both are sums."""

    def of_block(row_BD: Tensor, label_B: Tensor) -> Gradient:
        return rows_gradient(row_BD.to(center_D.dtype) - center_D, label_B, weight_CD, bias_C)

    return total_of(over_blocks(labeled, of_block, on))


def rows_gradient(row_BD: Tensor, label_B: Tensor, weight_CD: Tensor, bias_C: Tensor) -> Gradient:
    """Return the loss of some rows and its gradient; both are sums."""
    log_share_BC = torch.log_softmax(torch.addmm(bias_C, row_BD, weight_CD.T), dim=1)
    at_B = torch.arange(len(label_B))
    loss = -log_share_BC[at_B, label_B].sum()
    error_BC = log_share_BC.exp_()
    error_BC[at_B, label_B] -= 1.0
    return Gradient(loss, error_BC.T @ row_BD, error_BC.sum(dim=0))


def total_of(parts: Iterable[Gradient]) -> Gradient:
    """Return the sum of some gradients, taken in their order; there is at least one."""
    others = iter(parts)
    total = next(others)
    for found in others:
        for whole, part in zip(total, found, strict=True):
            whole.add_(part)
    return total
