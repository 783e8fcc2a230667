"""Work on tiles of the logits by PyTorch's own operations: on any device, in any precision.

Shape suffixes:
    B  images: pairs on this rank
    G  texts: pairs on all ranks, in rank order
    Q  rows of a tile
    K  columns of a tile
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import torch
from torch import Tensor

from openalign.train.model.loss_forms.logits import Logits, LogSums, no_log_sums

SIDE = 2048
"""Rows and columns of a tile: it takes 16 MiB, and its products are large enough for a GPU."""


def log_sums(logits: Logits) -> LogSums:
    """Return the softmaxes' denominators in both directions, from one pass."""
    sums = no_log_sums(logits)
    for rows, columns in logits.tiles(SIDE):
        logit_QK = logits.tile(rows, columns)
        left_out = logits.left_out(rows, columns)
        if left_out is not None:
            mask_QK, mass_QK = left_out
            sums.left_out.add_((logit_QK * mass_QK).masked_fill_(~mask_QK, 0.0).sum())
            logit_QK.masked_fill_(mask_QK, -torch.inf)
        for whole, part, dim in ((sums.image_B, rows, 1), (sums.text_G, columns, 0)):
            whole[part] = torch.logaddexp(whole[part], _log_sum(logit_QK, dim))
    return sums


def pull(logits: Logits, image_sum_B: Tensor, text_sum_G: Tensor) -> tuple[Tensor, Tensor]:
    """Return the texts `[B, D]` and images `[G, D]` that both softmaxes expect, from one pass.

    `P @ text_GD` and `P.T @ image_BD`, where P is the sum of both matrices of probabilities.
    """
    pulled_BD = torch.zeros_like(logits.image_BD)
    pulled_GD = torch.zeros_like(logits.text_GD)
    for rows, columns in logits.tiles(SIDE):
        logit_QK = logits.tile(rows, columns)
        both_QK = (logit_QK - image_sum_B[rows, None]).exp_()
        both_QK += logit_QK.sub_(text_sum_G[columns]).exp_()
        left_out = logits.left_out(rows, columns)
        if left_out is not None:
            both_QK = torch.where(*left_out, both_QK)
        pulled_BD[rows].addmm_(both_QK, logits.text_GD[columns])
        pulled_GD[columns].addmm_(both_QK.T, logits.image_BD[rows])
    return pulled_BD, pulled_GD


def _log_sum(logit_QK: Tensor, dim: int) -> Tensor:
    """Do what `torch.logsumexp` does, which takes as long as the product that made the tile."""
    top = logit_QK.amax(dim, keepdim=True)
    top.clamp_(min=torch.finfo(top.dtype).min)  # where all are left out, it is -inf
    return top.squeeze(dim) + (logit_QK - top).exp_().sum(dim).log_()
