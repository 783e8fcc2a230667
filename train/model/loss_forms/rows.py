"""This rank's rows of both directions: autograd keeps a matrix of B x G each.

Costs 12 * B * G * D FLOPs, for the products of a direction are made three times: once forward, and
for either gradient. Some four matrices of B x G are held at the peak.

Shape suffixes:
    B  pairs on this rank
    G  pairs on all ranks, in rank order
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor

from openalign.train.model.loss_forms.terms import LossTerms


def rows_loss(image_BD: Tensor, text_BD: Tensor, temperature: Tensor, terms: LossTerms) -> Tensor:
    """Return this rank's part of the loss: its images over all texts, its texts over all images."""
    rows = terms.rows
    image_GD, text_GD = rows.gather_both(image_BD, text_BD)
    place_B = torch.arange(rows.own.start, rows.own.stop, device=image_BD.device)
    left_out_BG = (
        None
        if terms.same_images is None
        else terms.same_images.left_out(rows.own, slice(0, rows.total))
    )

    def direction(query_BD: Tensor, match_BD: Tensor, key_GD: Tensor) -> Tensor:
        scaled_BD = query_BD / temperature  # D columns are fewer than the G of the logits
        logit_BG = scaled_BD @ key_GD.T
        if left_out_BG is None:
            mean_B = scaled_BD @ key_GD.mean(dim=0)
        else:
            num_candidates_B = (~left_out_BG).sum(dim=1)
            mean_B = logit_BG.masked_fill(left_out_BG, 0.0).sum(dim=1) / num_candidates_B
            logit_BG = logit_BG.masked_fill(left_out_BG, -torch.inf)
        # A share of the target's mass goes from the match to the mean over all candidates.
        moved = ((scaled_BD * match_BD).sum(dim=1) - mean_B).sum()
        return F.cross_entropy(logit_BG, place_B, reduction="sum") + terms.label_smoothing * moved

    own = direction(image_BD, text_BD, text_GD) + direction(text_BD, image_BD, image_GD)
    return rows.weight * own
