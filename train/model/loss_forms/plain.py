"""The loss as it is written: the whole matrix on every rank, for tests and small batches.

Shape suffixes:
    B  pairs on this rank
    G  pairs on all ranks, in rank order
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import torch
from torch import Tensor

from openalign.train.model.loss_forms.terms import LossTerms


def plain_loss(image_BD: Tensor, text_BD: Tensor, temperature: Tensor, terms: LossTerms) -> Tensor:
    """Return the loss of the global batch, the same on every rank (ALIGN §4.1)."""
    rows, smoothing = terms.rows, terms.label_smoothing
    image_GD, text_GD = rows.gather_both(image_BD, text_BD)
    logit_GG = image_GD @ text_GD.T / temperature
    everything = slice(0, rows.total)
    left_out_GG = (
        torch.zeros_like(logit_GG, dtype=torch.bool)
        if terms.same_images is None
        else terms.same_images.left_out(everything, everything)
    )
    candidate_GG = (~left_out_GG).to(logit_GG.dtype)
    matching_GG = torch.eye(rows.total, dtype=logit_GG.dtype, device=logit_GG.device)
    target_GG = (1 - smoothing) * matching_GG
    target_GG += smoothing * candidate_GG / candidate_GG.sum(dim=1, keepdim=True)

    def direction(logit_GG: Tensor) -> Tensor:
        chance_GG = logit_GG.masked_fill(left_out_GG, -torch.inf).log_softmax(dim=1)
        return -(target_GG * chance_GG.masked_fill(left_out_GG, 0.0)).sum(dim=1).mean()

    return direction(logit_GG) + direction(logit_GG.T)
