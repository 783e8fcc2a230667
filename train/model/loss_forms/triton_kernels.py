"""Triton's kernels: each program makes a block of a product and uses it at once.

Products are of precision `tf32x3`: tensor cores make three of tf32, which together are nearly as
exact as fp32. They make none of fp32. One of tf32 alone is not exact enough: its factors are cut to
10 bits, which takes about 0.06 off a logit of 64, and the paper's temperature of 0.016 gives such
logits. bf16 has 7 bits.

`image` and `text` are rows of embeddings, which lie one after the other, `width` numbers each.
Whatever says `row` or `rows` is about images, and `column` about texts.
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803, PLR0917  # Triton types what it compiles
# pyright: reportCallIssue=false, reportArgumentType=false

import triton
import triton.language as tl

_PRECISION = tl.constexpr("tf32x3")
_FAR = tl.constexpr(-1e30)
"""A logit that is left out; unlike minus infinity it can be subtracted from itself."""


@triton.jit
def _logit_block(
    image,
    text,
    rows,
    columns,
    num_rows,
    num_columns,
    width,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Return the logits of a program's rows and columns; 0 where there is none."""
    logits = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, width, DEPTH):
        depth = start + tl.arange(0, DEPTH)
        image_block = tl.load(
            image + rows[:, None] * width + depth[None, :],
            mask=(rows[:, None] < num_rows) & (depth[None, :] < width),
            other=0.0,
        )
        text_block = tl.load(
            text + columns[None, :] * width + depth[:, None],
            mask=(columns[None, :] < num_columns) & (depth[:, None] < width),
            other=0.0,
        )
        logits = tl.dot(image_block, text_block, logits, input_precision=_PRECISION)
    return logits


@triton.jit
def _left_out_block(
    row_ids,
    column_ids,
    row_shares,
    column_shares,
    first_row,
    first_column,
    rows,
    columns,
    num_rows,
    num_columns,
):
    """Return who is no candidate, and the mass that both targets' shares put there."""
    is_row = rows < num_rows
    is_column = columns < num_columns
    row_id = tl.load(row_ids + rows, mask=is_row, other=0)
    column_id = tl.load(column_ids + columns, mask=is_column, other=0)
    row_share = tl.load(row_shares + rows, mask=is_row, other=0.0)
    column_share = tl.load(column_shares + columns, mask=is_column, other=0.0)
    other_pair = (first_row + rows)[:, None] != (first_column + columns)[None, :]
    mask = other_pair & (row_id[:, None] == column_id[None, :])
    return mask, row_share[:, None] + column_share[None, :]


@triton.jit(do_not_specialize=["first_row", "first_column"])
def log_sums_kernel(
    image_sums,
    text_sums,
    left_out,
    image,
    text,
    row_ids,
    column_ids,
    row_shares,
    column_shares,
    first_row,
    first_column,
    num_rows,
    num_columns,
    width,
    SAME_IMAGES: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Find the logarithms of a block's sums, by row and by column, for the host to put together."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_row = rows < num_rows
    is_column = columns < num_columns
    inside = is_row[:, None] & is_column[None, :]
    row_places = tl.program_id(1).to(tl.int64) * num_rows + rows
    logits = _logit_block(image, text, rows, columns, num_rows, num_columns, width, BLOCK, DEPTH)
    if SAME_IMAGES:
        mask, mass = _left_out_block(
            row_ids,
            column_ids,
            row_shares,
            column_shares,
            first_row,
            first_column,
            rows,
            columns,
            num_rows,
            num_columns,
        )
        dropped = tl.sum(tl.where(mask, logits * mass, 0.0), axis=1)
        tl.store(left_out + row_places, dropped, mask=is_row)
        logits = tl.where(mask, _FAR, logits)
    logits = tl.where(inside, logits, _FAR)
    row_top = tl.max(logits, axis=1)
    row_sum = row_top + tl.log(tl.sum(tl.exp(logits - row_top[:, None]), axis=1))
    tl.store(image_sums + row_places, row_sum, mask=is_row)
    column_top = tl.max(logits, axis=0)
    column_sum = column_top + tl.log(tl.sum(tl.exp(logits - column_top[None, :]), axis=0))
    column_places = tl.program_id(0).to(tl.int64) * num_columns + columns
    tl.store(text_sums + column_places, column_sum, mask=is_column)


@triton.jit(do_not_specialize=["first_row", "first_column"])
def probabilities_kernel(
    both,
    image_sums,
    text_sums,
    image,
    text,
    row_ids,
    column_ids,
    row_shares,
    column_shares,
    first_row,
    first_column,
    num_rows,
    num_columns,
    width,
    SAME_IMAGES: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Write the sum of both directions' probabilities."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_row = rows < num_rows
    is_column = columns < num_columns
    logits = _logit_block(image, text, rows, columns, num_rows, num_columns, width, BLOCK, DEPTH)
    image_sum = tl.load(image_sums + rows, mask=is_row, other=0.0)
    text_sum = tl.load(text_sums + columns, mask=is_column, other=0.0)
    sum_ = tl.exp(logits - image_sum[:, None]) + tl.exp(logits - text_sum[None, :])
    if SAME_IMAGES:
        mask, mass = _left_out_block(
            row_ids,
            column_ids,
            row_shares,
            column_shares,
            first_row,
            first_column,
            rows,
            columns,
            num_rows,
            num_columns,
        )
        sum_ = tl.where(mask, mass, sum_)
    places = rows[:, None] * num_columns + columns[None, :]
    tl.store(both + places, sum_, mask=is_row[:, None] & is_column[None, :])


@triton.jit
def add_product_kernel(
    sums,
    left,
    right,
    num_rows,
    num_columns,
    depth_of_all,
    left_row,
    left_column,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Add a block of `left @ right`."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    product = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, depth_of_all, DEPTH):
        depth = start + tl.arange(0, DEPTH)
        left_block = tl.load(
            left + rows[:, None] * left_row + depth[None, :] * left_column,
            mask=(rows[:, None] < num_rows) & (depth[None, :] < depth_of_all),
            other=0.0,
        )
        right_block = tl.load(
            right + depth[:, None] * num_columns + columns[None, :],
            mask=(depth[:, None] < depth_of_all) & (columns[None, :] < num_columns),
            other=0.0,
        )
        product = tl.dot(left_block, right_block, product, input_precision=_PRECISION)
    places = rows[:, None] * num_columns + columns[None, :]
    inside = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
    tl.store(sums + places, tl.load(sums + places, mask=inside, other=0.0) + product, mask=inside)
