"""Blocks of rows: their order, their sums, and that threads change no bit of them."""

# ruff: noqa: N806  # capitals are shape suffixes

import threading

import numpy as np
import pytest
import torch
from linear_sets import labeled, random_set

from openalign.evaluate.linear import rows
from openalign.evaluate.linear.rows import Labeled, moments, over_blocks, threads


def test_blocks_hold_each_chosen_row_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 6)  # two rows of three numbers
    monkeypatch.setattr(rows, "_BLOCKS_AT_ONCE", 2)
    image_GD = np.arange(30, dtype=np.float32).reshape(10, 3)
    chosen = Labeled(
        image_GD=image_GD,
        places_N=np.array([9, 0, 4, 2, 7]),
        label_N=np.array([1, 0, 1, 0, 1]),
        num_classes=2,
    )

    with threads(2) as on:
        blocks = list(
            over_blocks(chosen, lambda row, label: (row[:, 0].tolist(), label.tolist()), on)
        )

    assert blocks == [([27.0, 0.0], [1, 0]), ([12.0, 6.0], [1, 0]), ([21.0], [1])]


def test_the_mean_row_and_the_variance_of_an_entry() -> None:
    chosen = labeled(
        np.array([[1.0, 0.0], [3.0, 4.0]], dtype=np.float32), np.array([0, 1]), num_classes=2
    )

    with threads(1) as on:
        found = moments(chosen, on)

    # Columns 1, 3 and 0, 4: means 2 and 2, variances 1 and 4.
    assert found.mean_D.tolist() == [2.0, 2.0]
    assert found.variance == pytest.approx(2.5)


def test_operations_have_one_thread_and_the_number_before_comes_back() -> None:
    at_first = torch.get_num_threads()
    torch.set_num_threads(2)
    seen: set[tuple[int, int]] = set()

    with threads(3) as on:
        list(
            on.map(lambda _: seen.add((threading.get_ident(), torch.get_num_threads())), range(20))
        )
        here = torch.get_num_threads()

    assert {number for _, number in seen} == {1}
    assert here == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(at_first)


def test_a_set_is_as_long_as_its_rows_and_as_wide_as_an_embedding() -> None:
    chosen = random_set(num_rows=150, width=12)

    assert (len(chosen), chosen.width) == (150, 12)


def test_a_digest_is_of_the_rows_and_classes_wherever_they_lie() -> None:
    image_GD = np.arange(12, dtype=np.float32).reshape(4, 3)

    def digest(
        places: list[int],
        rows: np.ndarray = image_GD,
        *,
        labels: tuple[int, int] = (1, 0),
        num_classes: int = 2,
    ) -> str:
        return Labeled(
            image_GD=rows,
            places_N=np.array(places),
            label_N=np.array(labels),
            num_classes=num_classes,
        ).digest()

    first = digest([0, 2])
    assert digest([1, 3], np.roll(image_GD, 1, axis=0)) == first
    others = {
        digest([2, 0]),
        digest([0, 3]),
        digest([0, 2], image_GD + 1),
        digest([0, 2], labels=(0, 0)),
        digest([0, 2], num_classes=3),
    }
    assert len(others | {first}) == 6
