"""Triton's kernels on the CPU, for test_triton_tiles.py: `TRITON_INTERPRET=1` is set.

Writes, for each case, the largest error of the loss and of each gradient, relative to the largest
element of what float64 gives.
"""

import json
import sys
from dataclasses import fields
from typing import Any

import torch
from loss_oracle import make_case

from openalign.train.model.loss import contrastive_loss
from openalign.train.model.loss_forms import tiled, triton_tiles


def main() -> None:
    triton_tiles.SIDE, triton_tiles._BLOCK, triton_tiles._DEPTH = 40, 16, 16
    uses_triton: Any = lambda _: triton_tiles  # noqa: E731
    tiled._tiles_for = uses_triton
    ids = [(7 * pair) % 23 for pair in range(75)]
    ids[40:57] = [99] * 17  # a block of 16 x 16 may hold no candidate but the pairs themselves
    errors = [
        errors_of(smoothing, image_ids) for smoothing in (0.0, 0.1) for image_ids in (None, ids)
    ]
    sys.stdout.write(json.dumps(errors))


def errors_of(smoothing: float, image_ids: list[int] | None) -> dict[str, float]:
    """75 pairs are two launches each way, of three blocks of 16; the last are not full."""
    case = make_case(75, 21, smoothing=smoothing, image_ids=image_ids, temperature=0.05)
    expected = case.expected()
    leaves = [x.float().requires_grad_() for x in (case.image, case.text)]
    leaves.append(torch.tensor([0.05], requires_grad=True))
    loss = contrastive_loss(
        *leaves,
        label_smoothing=smoothing,
        form="tiled",
        image_ids_B=None if image_ids is None else torch.tensor(image_ids),
    )
    found = [loss.detach(), *torch.autograd.grad(loss, leaves)]
    names = [field.name for field in fields(expected)]
    wanted = [getattr(expected, name) for name in names]
    return {
        name: float((value - good).abs().max() / good.abs().max())
        for name, value, good in zip(names, found, wanted, strict=True)
    }


if __name__ == "__main__":
    main()
