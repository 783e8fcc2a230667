"""What a pair's softmaxes choose among: all pairs of the global batch, or not quite all.

Two pairs may show one image. As negatives of each other they ask the towers to tell apart what is
equal. Where that is not wanted, the ids of images say which pairs to leave out.

Shape suffixes:
    Q  rows: some pairs' images
    K  columns: some pairs' texts
    G  pairs on all ranks, in rank order
"""

# ruff: noqa: N806, N815  # capitals are shape suffixes

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SameImages:
    """The image of every pair: another pair of the same image is no candidate.

    The pair itself always is one. Whether j is left out for i is symmetric, so an image's softmax
    over texts and a text's over images leave out the same.
    """

    ids_G: Tensor

    def left_out(self, rows: slice, columns: slice) -> Tensor:
        """Return `[Q, K]`: true where the column's pair is no candidate of the row's."""
        place_G = torch.arange(len(self.ids_G), device=self.ids_G.device)
        same_QK = self.ids_G[rows, None] == self.ids_G[columns]
        return same_QK.logical_and_(place_G[rows, None] != place_G[columns])

    def num_candidates(self) -> Tensor:
        """Return `[G]`: how many pairs each pair's softmaxes choose among."""
        sorted_G = self.ids_G.sort().values
        before_G = torch.searchsorted(sorted_G, self.ids_G)
        upto_G = torch.searchsorted(sorted_G, self.ids_G, right=True)
        return len(sorted_G) + 1 - (upto_G - before_G)
