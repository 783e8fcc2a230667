"""The loss from tiles of the matrix, which are made, used and dropped, and made again backward.

Memory is O(G * D). One pass over tiles serves both directions, and one their gradients: a tile is
multiplied once forward and three times backward, 8 * B * G * D FLOPs in all.

With logits z_ij = <u_i, v_j> / sigma and targets q_ij, pair i's loss in both directions is

    log sum_j exp(z_ij) + log sum_j exp(z_ji) - sum_j (q_ij + q_ji) * z_ij

up to the order of summands. Targets need no tiles: they are a mass on the match and a share on all
candidates, so sum_j (q_ij + q_ji) * v_j is a row of v and two sums over v. Tiles are left with the
two softmaxes.

Shape suffixes:
    B  pairs on this rank
    G  pairs on all ranks, in rank order
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import os
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from openalign.train.model.loss_forms import torch_tiles
from openalign.train.model.loss_forms.logits import Logits
from openalign.train.model.loss_forms.terms import LossTerms


def tiled_loss(image_BD: Tensor, text_BD: Tensor, temperature: Tensor, terms: LossTerms) -> Tensor:
    """Return this rank's part of the loss: its images over all texts, its texts over all images.

    Every rank must begin its backward pass with the same gradient, since a rank's tiles serve the
    texts of all ranks. There is no second derivative.
    """
    loss = _TiledLoss.apply(image_BD, text_BD, 1 / temperature, terms)
    assert isinstance(loss, Tensor)
    return loss


class _TiledLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image_BD: Tensor, text_BD: Tensor, scale: Tensor, terms: LossTerms
    ) -> Tensor:
        rows = terms.rows
        text_GD = rows.gather(text_BD)
        logits = Logits.of(image_BD * scale, text_GD, terms)
        sums = _tiles_for(logits).log_sums(logits)
        text_sum_G = rows.log_sum_over_ranks(sums.text_G)
        target_BD = _target_texts(logits)
        loss_B = sums.image_B + text_sum_G[rows.own] - (logits.image_BD * target_BD).sum(dim=1)
        ctx.save_for_backward(image_BD, text_GD, scale, sums.image_B, text_sum_G)
        ctx.terms = terms
        return rows.weight * (loss_B.sum() + sums.left_out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image_BD, text_GD, scale, image_sum_B, text_sum_G = ctx.saved_tensors
        terms, rows = ctx.terms, ctx.terms.rows
        logits = Logits.of(image_BD * scale, text_GD, terms)
        pulled_BD, pulled_GD = _tiles_for(logits).pull(logits, image_sum_B, text_sum_G)
        pulled_BD -= _target_texts(logits)
        _subtract_target_images(pulled_GD, logits)
        weight = rows.weight * gradients[0]
        return (
            weight * scale * pulled_BD,
            weight * rows.sum_over_ranks(pulled_GD),
            (weight * (image_BD * pulled_BD).sum()).reshape(scale.shape),
            None,
        )


def _target_texts(logits: Logits) -> Tensor:
    """Return `[B, D]`: the sum of all texts, each times its mass in both targets of an image."""
    own = logits.terms.rows.own
    return (
        2 * (1 - logits.terms.label_smoothing) * logits.text_GD[own]
        + logits.share_G[own, None] * logits.text_GD.sum(dim=0)
        + logits.share_G @ logits.text_GD
    )


def _subtract_target_images(pulled_GD: Tensor, logits: Logits) -> None:
    """Do the same for all texts, as far as this rank's images go."""
    own = logits.terms.rows.own
    pulled_GD.addcmul_(logits.share_G[:, None], logits.image_BD.sum(dim=0), value=-1)
    pulled_GD.sub_(logits.share_G[own] @ logits.image_BD)
    pulled_GD[own].sub_(logits.image_BD, alpha=2 * (1 - logits.terms.label_smoothing))


def _tiles_for(logits: Logits) -> ModuleType:
    """Return the module that works through tiles: Triton's kernels where they can run."""
    if logits.image_BD.dtype == torch.float32 and _has_triton(logits.image_BD.device):
        from openalign.train.model.loss_forms import triton_tiles

        return triton_tiles
    return torch_tiles


@cache
def _has_triton(device: torch.device) -> bool:
    """Tell whether Triton is there, a GPU with tf32, and the C compiler that Triton starts with."""
    return (
        device.type == "cuda"
        and torch.version.cuda is not None  # Triton on ROCm has no tf32x3
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and find_spec("triton") is not None
        and any(shutil.which(name) for name in (os.environ.get("CC", "gcc"), "gcc", "clang"))
        and Path(sysconfig.get_path("include"), "Python.h").exists()
    )
