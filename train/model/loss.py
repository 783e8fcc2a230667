"""The ALIGN objective (§4.1): two softmax losses over the global batch.

Shape suffixes:
    B  pairs on this rank
    G  pairs on all ranks, in rank order
    D  embedding width
"""

# ruff: noqa: N803  # capitals are shape suffixes

from collections.abc import Sequence

from torch import Tensor

from openalign.train.config import LossForm
from openalign.train.model.loss_forms.candidates import SameImages
from openalign.train.model.loss_forms.global_rows import GlobalRows
from openalign.train.model.loss_forms.plain import plain_loss
from openalign.train.model.loss_forms.rows import rows_loss
from openalign.train.model.loss_forms.terms import LossTerms
from openalign.train.model.loss_forms.tiled import tiled_loss

MOST_PAIRS_IN_ROWS = 2048
"""Largest global batch that `auto` computes by rows: on one rank, four matrices of 16 MiB."""

_FORMS = {"plain": plain_loss, "rows": rows_loss, "tiled": tiled_loss}


def contrastive_loss(
    image_BD: Tensor,
    text_BD: Tensor,
    temperature: Tensor,
    *,
    label_smoothing: float,
    form: LossForm = "auto",
    rows_of_ranks: Sequence[int] | None = None,
    image_ids_B: Tensor | None = None,
) -> Tensor:
    """Return this rank's part of `L_i2t + L_t2i` (Eq. 1 and 2); all ranks must call this.

    The mean over ranks is the loss on all G pairs, and the mean over ranks of gradients is its
    gradient, however many pairs each rank has: a part is `ranks / G` times the sum over this rank's
    pairs. So let gradients be averaged over ranks, as ZeRO does, and weigh no rank by its pairs.
    Every rank must begin its backward pass with the same gradient.

    Both inputs have unit rows; row i of one belongs to row i of the other. Logits are divided by
    `temperature`, the learned sigma, which has one element. `label_smoothing` is the mass that is
    moved off the matching pair to all candidates alike (0.1 in §5).

    All forms are equal but for rounding. `rows_of_ranks` are the pairs of every rank, in rank
    order; without it each has as many as this one. `image_ids_B`, int64, leaves out pairs: others
    of a pair's image are no negatives of it, and no candidates. Without it every pair of the global
    batch is a negative of every other, as in the paper.
    """
    rows = GlobalRows.of(len(image_BD), rows_of_ranks)
    same_images = None if image_ids_B is None else SameImages(rows.gather(image_ids_B))
    return _FORMS[chosen_form(form, num_pairs=rows.total)](
        image_BD,
        text_BD,
        temperature,
        LossTerms(label_smoothing=label_smoothing, rows=rows, same_images=same_images),
    )


def chosen_form(form: LossForm, *, num_pairs: int) -> LossForm:
    """Return what `auto` stands for at a global batch: settings decide, no device and no rank."""
    if form != "auto":
        return form
    return "rows" if num_pairs <= MOST_PAIRS_IN_ROWS else "tiled"
