"""How a head ranks the classes, on scores that can be checked by eye."""

import numpy as np
import pytest
import torch
from linear_sets import labeled

from openalign.evaluate.linear import rows
from openalign.evaluate.linear.head import Head, num_right, true_ranks
from openalign.evaluate.linear.rows import threads

# A row's scores are the row itself: three classes, no bias but the last's.
HEAD = Head(weight_CD=torch.eye(3), bias_C=torch.tensor([0.0, 0.0, 0.5]))
ROWS = np.array(
    [
        [0.9, 0.1, 0.0],  # .9 .1 .5
        [0.2, 0.1, 0.0],  # .2 .1 .5
        [0.5, 0.1, 0.0],  # .5 .1 .5: a tie of the first and the last
        [np.nan, 0.0, 0.0],
    ],
    dtype=np.float32,
)


@pytest.mark.parametrize("at_once", [3, 1 << 20], ids=["row by row", "whole"])
def test_a_rank_counts_the_classes_that_score_as_high(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", at_once)
    chosen = labeled(ROWS, np.array([0, 1, 0, 0]), num_classes=3)

    with threads(2) as on:
        ranks, right = true_ranks(HEAD, chosen, on), num_right(HEAD, chosen, on)

    # The tie is a miss, and so is what is not a number.
    assert ranks.tolist() == [0, 2, 1, 2]
    assert right == 1
