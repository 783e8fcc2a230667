"""How a head ranks the classes, on scores that can be checked by eye."""

import numpy as np
import pytest
import torch
from linear_sets import labeled

from openalign.evaluate.linear import rows
from openalign.evaluate.linear.head import LinearHead, first_classes, num_right, rank_classes
from openalign.evaluate.linear.rows import threads

# A row's scores are the row itself: three classes, no bias but the last's.
HEAD = LinearHead(weight_CD=torch.eye(3), bias_C=torch.tensor([0.0, 0.0, 0.5]))
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
def test_the_own_class_is_placed_among_the_others(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", at_once)
    chosen = labeled(ROWS, np.array([0, 1, 0, 0]), num_classes=3)

    with threads(2) as on:
        found, right = rank_classes(HEAD, chosen, on), num_right(HEAD, chosen, on)

    assert found.above_N.tolist() == [0, 2, 0, 2]
    assert found.tied_N.tolist() == [0, 0, 1, 0]
    assert found.wrong_N.tolist()[:3] == [2, 2, 2]
    # The tie is a miss, and so is what is not a number.
    assert right == 1


def test_the_first_classes_of_a_row() -> None:
    assert first_classes(HEAD, ROWS[:3], 2) == [[0, 2], [2, 0], [0, 2]]
