"""Batch norm that knows which images belong together, whatever ranks and passes they are in.

An image is normalized by the statistics of its block (`local`), of a part of it (`ghost`), or of
what all ranks hold in one pass (`sync`). A forward pass moves no running statistics. Each layer
keeps those of its last pass, in which recomputing a pass writes the same values again; a step that
was taken moves the running ones once, by the mean over all blocks of the global batch. A layer that
is frozen keeps its running statistics, and nothing here reads or sets them.

Shape suffixes:
    B  pairs of one forward pass
    C  channels of a layer
    S  all running statistics of a model, end to end: means and variances, layer by layer
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn

from openalign.train.presets import BatchNorm, GhostBatchNorm, SyncBatchNorm


class BlockBatchNorm(nn.BatchNorm2d):
    """Batch norm over a block or its groups; its state is that of `nn.BatchNorm2d`."""

    pass_mean: Tensor
    pass_var: Tensor

    def __init__(self, like: nn.BatchNorm2d, *, momentum: float, kind: BatchNorm) -> None:
        super().__init__(like.num_features, eps=like.eps, momentum=momentum)
        self.load_state_dict(like.state_dict())
        self._group_size = kind.group_size if isinstance(kind, GhostBatchNorm) else None
        self._synced = isinstance(kind, SyncBatchNorm)
        for name in ("pass_mean", "pass_var"):
            self.register_buffer(name, torch.zeros(like.num_features), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the base class' name
        """Normalize, in training by the images that belong together."""
        with _without_cudnn(input):
            if not self.training:
                return super().forward(input)
            if self._synced and _world_size() > 1:
                return self._normalized_over_ranks(input)
            return self._normalized_by_group(input)

    def _normalized_by_group(self, image: Tensor) -> Tensor:
        groups = image.split(self._group_size or len(image))
        found = [self.pass_mean.new_zeros(2, self.num_features) for _ in groups]
        # With a momentum of 1 the kernel leaves a group's own statistics in what it is given.
        normalized = [
            F.batch_norm(
                group,
                running_mean=mean_C,
                running_var=var_C,
                weight=self.weight,
                bias=self.bias,
                training=True,
                momentum=1.0,
                eps=self.eps,
            )
            for group, (mean_C, var_C) in zip(groups, found, strict=True)
        ]
        self._keep(*(found[0] if len(found) == 1 else torch.stack(found).mean(0)))
        return normalized[0] if len(normalized) == 1 else torch.cat(normalized)

    def _normalized_over_ranks(self, image: Tensor) -> Tensor:
        """Two all-reduces a layer: of the means, then of the squares of what is left."""
        count = _world_size() * image[:, 0].numel()
        exact = image.to(torch.promote_types(image.dtype, torch.float32))
        mean_C = _mean_over_ranks(exact.mean((0, 2, 3)))
        centered = exact - mean_C[:, None, None]
        var_C = _mean_over_ranks(centered.square().mean((0, 2, 3)))
        self._keep(mean_C, var_C * (count / (count - 1)))
        scale_C = (var_C + self.eps).rsqrt() * self.weight
        return (centered * scale_C[:, None, None] + self.bias[:, None, None]).to(image.dtype)

    @torch.no_grad()
    def _keep(self, mean_C: Tensor, var_C: Tensor) -> None:
        self.pass_mean.copy_(mean_C)
        self.pass_var.copy_(var_C)


def replace_batch_norms(module: nn.Module, *, momentum: float, kind: BatchNorm) -> None:
    """Put a `BlockBatchNorm` with the same state in the place of every batch norm inside."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, BlockBatchNorm(child, momentum=momentum, kind=kind))


def batch_norms(module: nn.Module) -> list[BlockBatchNorm]:
    """Return the batch norms inside that are not frozen, in the order of the module."""
    # Twice a step, so without `is_frozen`, which goes through modules below, where there are none.
    # And without `layer.weight`: within a forward pass stage 3 would gather it, on this rank alone.
    return [
        layer
        for layer in module.modules()
        if isinstance(layer, BlockBatchNorm)
        and any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
    ]


def pass_statistics(layers: Sequence[BlockBatchNorm]) -> Tensor:
    """Return the means and unbiased variances of the last forward pass, as one `[S]`."""
    return torch.cat([x for layer in layers for x in (layer.pass_mean, layer.pass_var)])


def running_statistics(module: nn.Module) -> Tensor:
    """Return a copy of the running means and variances, as one `[S]`."""
    return torch.cat(_running(batch_norms(module)))


def set_running_statistics(module: nn.Module, statistics_S: Tensor) -> None:
    """Set the running means and variances from one `[S]`."""
    _copy_to(_running(batch_norms(module)), statistics_S)


@torch.no_grad()
def move_running_statistics(module: nn.Module, passes: Sequence[Tensor], *, share: float) -> None:
    """Move this rank's running statistics by what its passes of one step found.

    `share` is what one pass counts for: the number of ranks over that of all blocks. So the mean
    over ranks of the running statistics moves by the mean over all blocks, however the ranks share
    them, and ranks need not meet until someone reads the statistics: `average_batch_norm`.
    """
    layers = batch_norms(module)
    if not layers:
        return
    momentum = cast("float", layers[0].momentum)
    running = _running(layers)
    moved_S = torch.cat(running).mul_(1.0 - momentum)
    moved_S.add_(torch.stack(list(passes)).sum(0), alpha=momentum * share)
    _copy_to(running, moved_S)


@torch.no_grad()
def average_batch_norm(module: nn.Module) -> None:
    """Replace every rank's running statistics by their mean over ranks; all ranks must call it."""
    if _world_size() > 1 and batch_norms(module):
        set_running_statistics(module, _mean_over_ranks(running_statistics(module)))


@torch.no_grad()
def reestimate_batch_norm(
    module: nn.Module, batches: Iterable[Sequence[Tensor]], *, num_passes: int
) -> None:
    """Set the running statistics to the mean over passes; all ranks must call it.

    Nothing is run where every batch norm is frozen. The rest of the model is in evaluation mode, as
    it will be when the statistics are used.
    `batches` runs the model: it yields the statistics of this rank's passes, batch by batch.
    `num_passes` counts those of all ranks.
    """
    layers = batch_norms(module)
    if not layers:
        return
    was_training = module.training
    module.eval()
    for layer in layers:
        layer.train()
    # In float64 the order of the sum, which the ranks decide, leaves no trace.
    total_S = torch.zeros_like(running_statistics(module), dtype=torch.float64)
    num_batches = 0
    for passes in batches:
        num_batches += 1
        for statistics_S in passes:
            total_S += statistics_S
    if _world_size() > 1:
        dist.all_reduce(total_S)
    set_running_statistics(module, (total_S / num_passes).to(running_statistics(module).dtype))
    for layer in layers:
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.fill_(num_batches)
    module.train(was_training)


def _running(layers: Sequence[BlockBatchNorm]) -> list[Tensor]:
    found: list[Tensor] = []
    for layer in layers:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        found += [layer.running_mean, layer.running_var]
    return found


def _copy_to(running: list[Tensor], statistics_S: Tensor) -> None:
    sizes = [len(buffer) for buffer in running]
    torch._foreach_copy_(running, statistics_S.split(sizes))  # torch's only list copy


def _without_cudnn(image: Tensor) -> AbstractContextManager[Any]:
    """Let PyTorch's own kernel run on a GPU.

    DeepSpeed lays parameters end to end, the temperature first, so that none begins at a multiple
    of 16 bytes. cuDNN takes for granted that they do, and dies of a misaligned address. What is
    compiled does not call cuDNN's batch norm.
    """
    if not image.is_cuda or torch.compiler.is_compiling():
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=False)


class _MeanOverRanks(torch.autograd.Function):
    """Every rank's mean value on every rank; the gradients of all of them flow back to each."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004  # autograd's signature
        mean = value.clone()
        dist.all_reduce(mean)
        return mean.div_(dist.get_world_size())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _MeanOverRanks.forward(ctx, gradients[0])


def _mean_over_ranks(value: Tensor) -> Tensor:
    mean = _MeanOverRanks.apply(value)
    assert isinstance(mean, Tensor)
    return mean


def _world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1
