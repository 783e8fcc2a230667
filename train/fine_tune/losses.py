"""What fine-tuning minimizes: softmax cross-entropy, with MixUp and BiT's decay where set.

Shape suffixes:
    B  images
    C  classes
"""

# ruff: noqa: N803, N815  # capitals are shape suffixes

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn

from openalign.train.data.order import seed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How a batch is mixed with itself in another order."""

    partner_B: Tensor
    share: float
    """Of each image itself; its partner has the rest."""


def draw_mix(batch_size: int, step: int, *, alpha: float, seed: int) -> Mix:
    """Return the mix of a step: one share for the whole batch, from Beta(alpha, alpha)."""
    random = np.random.Generator(np.random.PCG64(seed_at(seed, step)))
    share = float(random.beta(alpha, alpha)) if alpha else 1.0
    return Mix(partner_B=torch.from_numpy(random.permutation(batch_size)), share=share)


def mixed_pixels(pixels: Tensor, mix: Mix) -> Tensor:
    """Return each image, laid over its partner."""
    return mix.share * pixels + (1.0 - mix.share) * pixels[mix.partner_B]


def mixed_cross_entropy(logit_BC: Tensor, label_B: Tensor, mix: Mix) -> Tensor:
    """Return the mean loss over a batch, for both labels of each image by their shares."""
    own = F.cross_entropy(logit_BC, label_B)
    partners = F.cross_entropy(logit_BC, label_B[mix.partner_B])
    return mix.share * own + (1.0 - mix.share) * partners


def initial_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the parameters that are trained, by their names."""
    named = module.named_parameters()
    return {name: weight.detach().clone() for name, weight in named if weight.requires_grad}


@torch.no_grad()
def add_decay_to_initial(
    module: nn.Module, initial: Mapping[str, Tensor], *, strength: float
) -> None:
    """Add to each gradient what pulls its parameter back to where it began, as in BiT.

    Call it between the backward pass and the optimizer's step.
    """
    for name, parameter in module.named_parameters():
        if name in initial and parameter.grad is not None:
            parameter.grad.add_(parameter - initial[name], alpha=strength)
