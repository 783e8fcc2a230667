"""Depthwise convolution of maps that are smaller than its kernel, as small images leave them.

PyTorch's kernels for CPUs take the reference path of oneDNN there: a 5 x 5 kernel over maps of one
point takes thirty times as long as over what it can touch. Here each channel's kernel becomes
a matrix from the points of the map to the points of the result, and a product of matrices does the
rest. Its gradients are autograd's.

Shape suffixes:
    B  images
    C  channels
    H  rows, W  columns of a map
    P  points of a map, row by row
    K  side of the kernel
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Iterable
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere
from torch import Tensor, nn


def hasten_small_maps(module: nn.Module) -> None:
    """Let every depthwise convolution inside that leaves maps as large as they are take this form.

    One with holes, more channels than it is given, or a kernel without a middle stays as it is.
    """
    for layer in cast("Iterable[Any]", module.modules()):
        if _keeps_each_map(layer):
            layer.forward = partial(depthwise, layer)


def _keeps_each_map(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and 1 < layer.groups == layer.in_channels == layer.out_channels
        and (layer.padding, layer.padding_mode, layer.bias) == ("same", "zeros", None)
        and (layer.stride, layer.dilation) == ((1, 1), (1, 1))
        and layer.kernel_size[0] == layer.kernel_size[1]
        and layer.kernel_size[0] % 2 == 1
    )


def depthwise(layer: nn.Conv2d, image_BCHW: Tensor) -> Tensor:
    """Return what the layer makes of maps; equal to its own forward pass but for rounding."""
    height, width = image_BCHW.shape[-2:]
    side = layer.kernel_size[0]
    is_small = side > min(height, width) and height * width <= side * side
    if image_BCHW.device.type != "cpu" or not is_small:
        return nn.Conv2d.forward(layer, image_BCHW)
    return _by_matrices(image_BCHW, layer.weight, height, width, side)


def _by_matrices(image_BCHW: Tensor, kernel: Tensor, height: int, width: int, side: int) -> Tensor:
    num_images, num_channels, num_points = *image_BCHW.shape[:2], height * width
    places = _places(height, width, side)
    with_zero = F.pad(kernel.reshape(num_channels, side * side), (0, 1))
    matrices_CPP = with_zero[:, places].reshape(num_channels, num_points, num_points)
    points_CBP = image_BCHW.flatten(2).transpose(0, 1).contiguous()
    result_CBP = torch.bmm(points_CBP, matrices_CPP.to(points_CBP.dtype))
    # Channels last in memory, as the layers around have it.
    result_BCHW = result_CBP.permute(1, 0, 2).reshape(num_images, num_channels, height, width)
    return result_BCHW.contiguous(memory_format=torch.channels_last)


def _places(height: int, width: int, side: int) -> Tensor:
    """Return `[P * P]`: which number of the kernel leads from a point to one of the result.

    `side * side`, where none does.
    """
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points_P2 = torch.stack([rows, columns], dim=-1).reshape(-1, 2)
    steps_PP2 = points_P2[:, None] - points_P2[None] + side // 2
    touches_PP = ((steps_PP2 >= 0) & (steps_PP2 < side)).all(-1)
    numbers_PP = steps_PP2[..., 0] * side + steps_PP2[..., 1]
    return numbers_PP.where(touches_PP, side * side).reshape(-1)
