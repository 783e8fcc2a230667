"""The rows of a global batch, of which every rank has some.

Shape suffixes:
    B  pairs on this rank
    G  pairs on all ranks, in rank order
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor


@dataclass(frozen=True, slots=True)
class GlobalRows:
    """How many rows each rank has; those of rank 0 come first, then those of rank 1."""

    of_ranks: tuple[int, ...]
    rank: int
    """This one."""

    @classmethod
    def of(cls, num_rows: int, rows_of_ranks: Sequence[int] | None) -> "GlobalRows":
        """Return the rows of a rank that has `num_rows`; None says that every rank has as many."""
        world_size = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if dist.is_initialized() else 0
        of_ranks = (num_rows,) * world_size if rows_of_ranks is None else tuple(rows_of_ranks)
        assert len(of_ranks) == world_size, (of_ranks, world_size)
        assert of_ranks[rank] == num_rows, (of_ranks, rank, num_rows)
        return cls(of_ranks, rank)

    @property
    def total(self) -> int:
        """G."""
        return sum(self.of_ranks)

    @property
    def own(self) -> slice:
        """Where this rank's rows lie."""
        start = sum(self.of_ranks[: self.rank])
        return slice(start, start + self.of_ranks[self.rank])

    @property
    def weight(self) -> float:
        """What a rank's sum over its rows is multiplied by: the mean over ranks is then one over G.

        Ranks with equal shares take the mean over their own rows.
        """
        return len(self.of_ranks) / self.total

    def gather(self, local_BD: Tensor) -> Tensor:
        """Return `[G, D]`, or `[G]` for `[B]`; no gradient flows back."""
        if len(self.of_ranks) == 1:
            return local_BD
        most = max(self.of_ranks)
        padded = _padded(local_BD, most)
        stacked = padded.new_empty(len(self.of_ranks) * most, *padded.shape[1:])
        dist.all_gather_into_tensor(stacked, padded)
        if self._are_equal:
            return stacked
        parts = stacked.split(most)
        return torch.cat([part[:size] for part, size in zip(parts, self.of_ranks, strict=True)])

    def gather_both(self, image_BD: Tensor, text_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Gather both in one collective; a row's gradient, summed over ranks, flows to its rank."""
        if len(self.of_ranks) == 1:
            return image_BD, text_BD
        both_GD = _GatherRows.apply(torch.cat([image_BD, text_BD], dim=1), self)
        assert isinstance(both_GD, Tensor)
        image_GD, text_GD = both_GD.split(image_BD.shape[1], dim=1)
        return image_GD, text_GD

    def sum_over_ranks(self, part_GD: Tensor) -> Tensor:
        """Return `[B, D]`: this rank's rows of the sum of all ranks' parts; overwrites its part."""
        if len(self.of_ranks) == 1:
            return part_GD
        if dist.get_backend() != "nccl":  # gloo has no reduce-scatter
            part_GD = part_GD.contiguous()
            dist.all_reduce(part_GD)
            return part_GD[self.own]
        most = max(self.of_ranks)
        if not self._are_equal:
            part_GD = torch.cat([_padded(part, most) for part in part_GD.split(self.of_ranks)])
        local_BD = part_GD.new_empty(most, *part_GD.shape[1:])
        dist.reduce_scatter_tensor(local_BD, part_GD.contiguous())
        return local_BD[: self.of_ranks[self.rank]]

    def log_sum_over_ranks(self, part_G: Tensor) -> Tensor:
        """Return the logarithm of the sum of all ranks' exponentials, column by column."""
        if len(self.of_ranks) == 1:
            return part_G
        top_G = part_G.clone()
        dist.all_reduce(top_G, dist.ReduceOp.MAX)
        sum_G = (part_G - top_G).exp()
        dist.all_reduce(sum_G)
        return top_G + sum_G.log()

    @property
    def _are_equal(self) -> bool:
        return len(set(self.of_ranks)) == 1


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local_BD: Tensor, rows: GlobalRows) -> Tensor:
        ctx.rows = rows
        return rows.gather(local_BD)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.rows.sum_over_ranks(gradients[0].clone()), None


def _padded(local_BD: Tensor, num_rows: int) -> Tensor:
    """Collectives want equal shares: add rows of zeros at the end."""
    missing = num_rows - len(local_BD)
    if not missing:
        return local_BD.contiguous()
    return F.pad(local_BD, (0, 0) * (local_BD.dim() - 1) + (0, missing))
