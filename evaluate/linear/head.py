"""A linear head that was fitted, and how it ranks the classes of a row.

Shape suffixes:
    N  rows of a labeled set
    B  rows of a block
    Q  rows that are asked about
    D  embedding width
    C  classes
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from openalign.evaluate.linear.rows import Labeled, Threads, over_blocks
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.vectors import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """Weights of a softmax over classes; rows are taken as they are."""

    weight_CD: Tensor
    bias_C: Tensor

    def scores(self, row_BD: Tensor) -> Tensor:
        """Return `[B, C]`, in the head's own precision."""
        return torch.addmm(self.bias_C, row_BD.to(self.weight_CD.dtype), self.weight_CD.T)


class ClassRanks(NamedTuple):
    """How each row's own class is placed among the others."""

    above_N: Ints
    """Other classes that score higher; a score that is not a number does."""

    tied_N: Ints
    """Other classes that score the same."""

    wrong_N: Ints
    """The other class that scores highest."""


def rank_classes(head: LinearHead, labeled: Labeled, on: Threads) -> ClassRanks:
    """Return how the own class of each row is placed; there are at least two classes."""

    def ranks_of(row_BD: Tensor, label_B: Tensor) -> ClassRanks:
        return ranks_of_scores(head.scores(row_BD), label_B)

    parts = list(over_blocks(labeled, ranks_of, on))
    return ClassRanks(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def ranks_of_scores(score_BC: Tensor, label_B: Tensor) -> ClassRanks:
    """Return how the own class of each row is placed by its scores; there are at least two."""
    own_B1 = score_BC.gather(1, label_B.unsqueeze(1))
    above_B = (~(score_BC <= own_B1)).sum(dim=1)
    tied_B = (score_BC == own_B1).sum(dim=1) - 1
    # Where the own score is not a number, no class ties, not even the own one.
    broken_B = own_B1.squeeze(1).isnan()
    above_B[broken_B] = score_BC.shape[1] - 1
    tied_B[broken_B] = 0
    wrong_B = score_BC.scatter(1, label_B.unsqueeze(1), -torch.inf).argmax(dim=1)
    return ClassRanks(above_B.numpy(), tied_B.numpy(), wrong_B.numpy())


def num_right(head: LinearHead, labeled: Labeled, on: Threads) -> int:
    """Return how many rows have their own class first, and no other beside it."""
    ranks = rank_classes(head, labeled, on)
    return int(np.count_nonzero(ranks.above_N + ranks.tied_N == 0))


def first_classes(head: LinearHead, rows_QD: Vectors, k: int) -> list[list[int]]:
    """Return the k best classes of each row, the earlier one first where two score alike."""
    return first_of_scores(head.scores(torch.from_numpy(rows_QD)), k)


def first_of_scores(score_QC: Tensor, k: int) -> list[list[int]]:
    """Return the k classes of the highest scores, the earlier one first where two score alike."""
    order_QC = torch.sort(score_QC, dim=1, descending=True, stable=True).indices
    return order_QC[:, :k].tolist()
