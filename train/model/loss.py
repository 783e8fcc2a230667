"""The ALIGN objective (§4.1): two softmax losses over the global batch.

Shape suffixes:
    B  pairs on this rank
    G  pairs on all ranks, in rank order
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor


def contrastive_loss(
    image_BD: Tensor,
    text_BD: Tensor,
    temperature: Tensor,
    *,
    label_smoothing: float,
    rows_of_ranks: Sequence[int] | None = None,
) -> Tensor:
    """Return this rank's part of `L_i2t + L_t2i` (Eq. 1 and 2); all ranks must call this.

    Both inputs have unit rows; row i of one belongs to row i of the other. The mean over ranks of
    what is returned is the loss on all G pairs. Averaging gradients over ranks gives that loss's
    gradient, because the gather is differentiable.

    Logits are divided by `temperature`, the learned sigma; `label_smoothing` is the mass that is
    moved off the matching pair (0.1 in §5). `rows_of_ranks` are the pairs of every rank, in rank
    order; without it each has as many as this one.
    """
    counts = [len(image_BD)] * _world_size() if rows_of_ranks is None else rows_of_ranks
    first, total = sum(counts[: _rank()]), sum(counts)
    target_B = first + torch.arange(len(image_BD), device=image_BD.device)
    image_GD, text_GD = _gather_pairs(image_BD, text_BD, counts)
    i2t_BG = image_BD @ text_GD.T / temperature
    t2i_BG = text_BD @ image_GD.T / temperature
    both = [
        F.cross_entropy(logits, target_B, label_smoothing=label_smoothing, reduction="sum")
        for logits in (i2t_BG, t2i_BG)
    ]
    return (both[0] + both[1]) * (_world_size() / total)


def _gather_pairs(
    image_BD: Tensor, text_BD: Tensor, counts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    if _world_size() == 1:
        return image_BD, text_BD
    joined = torch.cat([image_BD, text_BD], dim=1)  # one collective, not two
    both = _GatherRows.apply(F.pad(joined, (0, 0, 0, max(counts) - len(joined))))
    assert isinstance(both, Tensor)
    if min(counts) < max(counts):
        both = torch.cat([x[:n] for x, n in zip(both.split(max(counts)), counts, strict=True)])
    width = image_BD.shape[1]
    return both[:, :width], both[:, width:]


class _GatherRows(torch.autograd.Function):
    """Stack every rank's rows; the backward sums over ranks and gives each rank its own rows."""

    @staticmethod
    def forward(ctx: Any, local_BD: Tensor) -> Tensor:
        ctx.num_rows = len(local_BD)
        stacked = local_BD.new_empty(_world_size() * len(local_BD), local_BD.shape[1])
        dist.all_gather_into_tensor(stacked, local_BD.contiguous())
        return stacked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient_GD = gradients[0].contiguous()
        if dist.get_backend() == "nccl":
            local_BD = gradient_GD.new_empty(ctx.num_rows, gradient_GD.shape[1])
            dist.reduce_scatter_tensor(local_BD, gradient_GD)
            return local_BD
        gradient_GD = gradient_GD.clone()  # gloo has no reduce-scatter, and reduces in place
        dist.all_reduce(gradient_GD)
        return gradient_GD[_rank() * ctx.num_rows : (_rank() + 1) * ctx.num_rows]


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1
