"""The logits of this rank's images over all texts, by what they are made of.

Shape suffixes:
    B  images: pairs on this rank
    G  texts: pairs on all ranks, in rank order
    Q  rows of a tile
    K  columns of a tile
    D  embedding width
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from openalign.train.model.loss_forms.terms import LossTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """`image_BD @ text_GD.T`, of which only tiles are ever made."""

    image_BD: Tensor
    """Divided by the temperature."""

    text_GD: Tensor
    share_G: Tensor
    """Mass that the smoothed target of a pair puts on every candidate, in one direction."""

    terms: LossTerms

    @classmethod
    def of(cls, image_BD: Tensor, text_GD: Tensor, terms: LossTerms) -> "Logits":
        """Return them; the images are divided by the temperature already."""
        smoothing = terms.label_smoothing
        if terms.same_images is None:
            share_G = text_GD.new_full((len(text_GD),), smoothing / len(text_GD))
        else:
            share_G = smoothing / terms.same_images.num_candidates().to(text_GD.dtype)
        return cls(image_BD=image_BD, text_GD=text_GD, share_G=share_G, terms=terms)

    def tiles(self, side: int) -> Generator[tuple[slice, slice]]:
        """Yield the rows and columns of every tile; the last of either may be smaller."""
        for row in range(0, len(self.image_BD), side):
            for column in range(0, len(self.text_GD), side):
                yield (
                    slice(row, min(row + side, len(self.image_BD))),
                    slice(column, min(column + side, len(self.text_GD))),
                )

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """Return `[Q, K]`, those that are left out included."""
        return self.image_BD[rows] @ self.text_GD[columns].T

    def in_batch(self, rows: slice) -> slice:
        """Return where these rows lie in the global batch."""
        first = self.terms.rows.own.start
        return slice(first + rows.start, first + rows.stop)

    def left_out(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor] | None:
        """Return `[Q, K]`: who is no candidate, and the mass that both targets' shares put there.

        Sums of whole rows and columns count that mass too: what works on tiles takes it back.
        """
        if self.terms.same_images is None:
            return None
        in_batch = self.in_batch(rows)
        return (
            self.terms.same_images.left_out(in_batch, columns),
            self.share_G[in_batch, None] + self.share_G[columns],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSums:
    """What a pass over all tiles finds."""

    image_B: Tensor
    """Logarithm of a row's sum of exponentials."""

    text_G: Tensor
    """That of a column, over this rank's images alone."""

    left_out: Tensor
    """Sum of the logits that are left out, each times its mass; a scalar."""


def no_log_sums(logits: Logits) -> LogSums:
    """Return what is known before the first tile."""
    return LogSums(
        image_B=logits.image_BD.new_full((len(logits.image_BD),), -torch.inf),
        text_G=logits.text_GD.new_full((len(logits.text_GD),), -torch.inf),
        left_out=logits.image_BD.new_zeros(()),
    )
