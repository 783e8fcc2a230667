"""What fine-tuning minimizes: softmax cross-entropy, with MixUp where set.

Shape suffixes:
    B  images
    C  classes
"""

# ruff: noqa: N803, N815  # capitals are shape suffixes

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How the images of a block are mixed with themselves in another order."""

    partner_B: Tensor
    share: float
    """Of each image itself; its partner has the rest."""


def draw_mix(num_images: int, *, alpha: float, seed: int) -> Mix:
    """Return how a block is mixed: one share for all of it, from Beta(alpha, alpha)."""
    random = np.random.Generator(np.random.PCG64(seed))
    share = float(random.beta(alpha, alpha)) if alpha else 1.0
    return Mix(partner_B=torch.from_numpy(random.permutation(num_images)), share=share)


def mixed_pixels(pixels: Tensor, mix: Mix) -> Tensor:
    """Return each image, laid over its partner; the images themselves where nothing is mixed."""
    if mix.share == 1.0:
        return pixels
    return mix.share * pixels + (1.0 - mix.share) * pixels[mix.partner_B]


def mixed_cross_entropy(logit_BC: Tensor, label_B: Tensor, mix: Mix) -> Tensor:
    """Return the mean loss over a batch, for both labels of each image by their shares."""
    own = F.cross_entropy(logit_BC, label_B)
    if mix.share == 1.0:
        return own
    partners = F.cross_entropy(logit_BC, label_B[mix.partner_B])
    return mix.share * own + (1.0 - mix.share) * partners
