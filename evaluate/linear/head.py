"""A linear head that was fitted, and how it ranks the classes of a row.

Shape suffixes:
    N  rows of a labeled set
    B  rows of a block
    D  embedding width
    C  classes
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openalign.evaluate.bootstrap import Ints
from openalign.evaluate.linear.rows import Labeled, Threads, over_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Weights of a softmax over classes; rows are taken as they are."""

    weight_CD: Tensor
    bias_C: Tensor

    def scores(self, row_BD: Tensor) -> Tensor:
        """Return `[B, C]`, in the head's own precision."""
        return torch.addmm(self.bias_C, row_BD.to(self.weight_CD.dtype), self.weight_CD.T)


def true_ranks(head: Head, labeled: Labeled, on: Threads) -> Ints:
    """Return how many other classes score as high as each row's own: 0 is a right answer.

    A tie counts as a miss, and so does a score that is not a number.
    """

    def ranks_of(row_BD: Tensor, label_B: Tensor) -> Ints:
        score_BC = head.scores(row_BD)
        own_B1 = score_BC.gather(1, label_B.unsqueeze(1))
        return ((~(score_BC < own_B1)).sum(dim=1) - 1).numpy()

    return np.concatenate(list(over_blocks(labeled, ranks_of, on)))


def num_right(head: Head, labeled: Labeled, on: Threads) -> int:
    """Return how many rows have their own class first."""
    return int(np.count_nonzero(true_ranks(head, labeled, on) == 0))
