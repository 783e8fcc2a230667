"""Work on tiles of the logits by Triton kernels.

What `torch_tiles` reads and writes several times between its products is done here in the program
that made the product.

Nothing is added atomically, so the same input gives the same bytes. Importing this needs Triton;
`TRITON_INTERPRET=1` runs it without a GPU.

Shape suffixes:
    B  images: pairs on this rank
    G  texts: pairs on all ranks, in rank order
    Q  rows of a tile
    K  columns of a tile
    D  embedding width
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from dataclasses import replace
from typing import Any

import torch
import triton
from torch import Tensor

from openalign.train.model.loss_forms.logits import Logits, LogSums, no_log_sums
from openalign.train.model.loss_forms.triton_kernels import (
    add_product_kernel,
    log_sums_kernel,
    probabilities_kernel,
)

SIDE = 4096
"""Rows and columns that a launch works on: the probabilities of a tile take 64 MiB."""

_BLOCK = 128
"""Rows and columns of a program's part."""

_DEPTH = 32
"""Columns of both factors that a program multiplies at a time."""

_NUM_WARPS = 8


def log_sums(logits: Logits) -> LogSums:
    """Return the softmaxes' denominators in both directions, from one pass."""
    logits = _contiguous(logits)
    sums = no_log_sums(logits)
    for rows, columns in logits.tiles(SIDE):
        grid = (_blocks(rows), _blocks(columns))
        image_part = sums.image_B.new_empty(grid[1], rows.stop - rows.start)
        text_part = sums.text_G.new_empty(grid[0], columns.stop - columns.start)
        left_out_part = torch.zeros_like(image_part)
        log_sums_kernel[grid](
            image_part, text_part, left_out_part, **_tile_arguments(logits, rows, columns)
        )
        for whole, tile, part in (
            (sums.image_B, rows, image_part),
            (sums.text_G, columns, text_part),
        ):
            whole[tile] = torch.logaddexp(whole[tile], part.logsumexp(0))
        sums.left_out.add_(left_out_part.sum())
    return sums


def pull(logits: Logits, image_sum_B: Tensor, text_sum_G: Tensor) -> tuple[Tensor, Tensor]:
    """Return the texts `[B, D]` and images `[G, D]` that both softmaxes expect, from one pass."""
    logits = _contiguous(logits)
    pulled_BD = torch.zeros_like(logits.image_BD)
    pulled_GD = torch.zeros_like(logits.text_GD)
    for rows, columns in logits.tiles(SIDE):
        both_QK = pulled_BD.new_empty(rows.stop - rows.start, columns.stop - columns.start)
        probabilities_kernel[_blocks(rows), _blocks(columns)](
            both_QK,
            image_sum_B[rows],
            text_sum_G[columns],
            **_tile_arguments(logits, rows, columns),
        )
        _add_product(pulled_BD[rows], both_QK, logits.text_GD[columns])
        _add_product(pulled_GD[columns], both_QK.T, logits.image_BD[rows])
    return pulled_BD, pulled_GD


def _contiguous(logits: Logits) -> Logits:
    return replace(
        logits, image_BD=logits.image_BD.contiguous(), text_GD=logits.text_GD.contiguous()
    )


def _blocks(part: slice) -> int:
    return triton.cdiv(part.stop - part.start, _BLOCK)


def _launch() -> dict[str, Any]:
    """Return what every launch is told; fusion is said since Triton's versions differ in it."""
    return {
        "BLOCK": _BLOCK,
        "DEPTH": _DEPTH,
        "num_warps": _NUM_WARPS,
        "enable_fp_fusion": True,
    }


def _tile_arguments(logits: Logits, rows: slice, columns: slice) -> dict[str, Any]:
    """Return what both kernels are told of a tile."""
    in_batch = logits.in_batch(rows)
    same_images = logits.terms.same_images
    id_G = logits.share_G if same_images is None else same_images.ids_G  # not read where None
    return {
        "image": logits.image_BD[rows],
        "text": logits.text_GD[columns],
        "row_ids": id_G[in_batch],
        "column_ids": id_G[columns],
        "row_shares": logits.share_G[in_batch],
        "column_shares": logits.share_G[columns],
        "first_row": in_batch.start,
        "first_column": columns.start,
        "num_rows": rows.stop - rows.start,
        "num_columns": columns.stop - columns.start,
        "width": logits.image_BD.shape[1],
        "SAME_IMAGES": same_images is not None,
        **_launch(),
    }


def _add_product(sum_: Tensor, left: Tensor, right: Tensor) -> None:
    """Add `left @ right` to a contiguous matrix; `left` may lie in any order."""
    num_rows, num_columns = sum_.shape
    grid = (triton.cdiv(num_rows, _BLOCK), triton.cdiv(num_columns, _BLOCK))
    add_product_kernel[grid](
        sum_,
        left,
        right,
        num_rows=num_rows,
        num_columns=num_columns,
        depth_of_all=left.shape[1],
        left_row=left.stride(0),
        left_column=left.stride(1),
        **_launch(),
    )
