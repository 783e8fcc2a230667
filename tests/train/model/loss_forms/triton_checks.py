"""Triton's kernels beside float64; `python triton_checks.py DEVICE` writes the errors as JSON.

On `cpu`, for which `TRITON_INTERPRET=1` must be set, blocks are small: interpreted programs are
slow. On `cuda` they are as ever, and a large batch is compared too. An error is the largest of a
loss or gradient, relative to the largest element of what float64 gives.
"""

import json
import sys
from dataclasses import astuple, fields
from typing import Any

import torch
from loss_oracle import Case, Expected, make_case
from torch import Tensor

from openalign.train.model.loss import contrastive_loss
from openalign.train.model.loss_forms import tiled, triton_tiles

LARGE_BATCH, LARGE_WIDTH = 20_000, 640


def main() -> None:
    device = torch.device(sys.argv[1])
    if device.type == "cpu":
        triton_tiles.SIDE, triton_tiles._BLOCK, triton_tiles._DEPTH = 40, 16, 16
        uses_triton: Any = lambda _: triton_tiles  # noqa: E731
        tiled._tiles_for = uses_triton
        found = small_batches(75, 21, block=16, device=device)
    else:
        assert tiled._has_triton(device)
        triton_tiles.SIDE = 512
        found = small_batches(700, 200, block=128, device=device)
        triton_tiles.SIDE = 4096
        found["large"] = large_batch(device)
    sys.stdout.write(json.dumps(found))


def small_batches(
    count: int, width: int, *, block: int, device: torch.device
) -> dict[str, dict[str, float]]:
    """Compare batches of two launches each way; the last blocks of each are not full."""
    ids = [pair % (count // 3) for pair in range(count)]
    whole_block = range(2 * block, 3 * block)  # no candidate in it but the pairs themselves
    ids = [-1 if pair in whole_block else image for pair, image in enumerate(ids)]
    cases = {
        f"{smoothing} {'alike' if image_ids else 'all'}": make_case(
            count, width, smoothing=smoothing, image_ids=image_ids, temperature=0.05
        )
        for smoothing in (0.0, 0.1)
        for image_ids in (None, ids)
    }
    return {
        name: errors(tiled_in(torch.float32, case, device), case.expected())
        for name, case in cases.items()
    }


def large_batch(device: torch.device) -> dict[str, float]:
    """Compare with tiles in float64, which Triton does not make; and with a second run."""
    image_ids = [pair // 2 for pair in range(LARGE_BATCH)]
    case = make_case(
        LARGE_BATCH, LARGE_WIDTH, smoothing=0.1, image_ids=image_ids, temperature=0.016
    )
    found = tiled_in(torch.float32, case, device)
    again = tiled_in(torch.float32, case, device)
    same = all(torch.equal(a, b) for a, b in zip(parts(found), parts(again), strict=True))
    assert same, "the same input gave other bytes"
    return errors(found, tiled_in(torch.float64, case, device))


def tiled_in(dtype: torch.dtype, case: Case, device: torch.device) -> Expected:
    leaves = [x.to(device, dtype).requires_grad_() for x in (case.image, case.text)]
    temperature = torch.tensor([case.temperature], dtype=dtype, device=device, requires_grad=True)
    ids = None if case.image_ids is None else torch.tensor(case.image_ids, device=device)
    loss = contrastive_loss(
        leaves[0],
        leaves[1],
        temperature,
        label_smoothing=case.smoothing,
        form="tiled",
        image_ids_B=ids,
    )
    gradients = torch.autograd.grad(loss, (*leaves, temperature))
    return Expected(*(x.detach().cpu() for x in (loss, *gradients)))


def parts(values: Expected) -> tuple[Tensor, ...]:
    return astuple(values)


def errors(found: Expected, expected: Expected) -> dict[str, float]:
    return {
        field.name: float((value - good).abs().max() / good.abs().max())
        for field, value, good in zip(fields(Expected), parts(found), parts(expected), strict=True)
    }


if __name__ == "__main__":
    main()
