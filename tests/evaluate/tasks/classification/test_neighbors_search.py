"""The blocked search against sorting all scores."""

# ruff: noqa: N806  # capitals are shape suffixes

from pathlib import Path

import numpy as np
import pytest
from embedded import random_rows

from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.tasks.classification import neighbors_search
from openalign.evaluate.tasks.classification.neighbors_search import first_items


def rows(num: int, seed: int) -> Vectors:
    return unit_rows(np.array(random_rows(num, 8, seed=seed)))


@pytest.mark.parametrize(
    ("queries", "first", "items", "a_turn"),
    [
        pytest.param(1, 1, 1, 1, id="one by one"),
        pytest.param(7, 3, 16, 3, id="blocks that do not fit"),
        pytest.param(512, 256, 2048, 16, id="one block"),
    ],
)
def test_the_first_items_are_those_of_a_full_sort_whatever_the_blocks(
    queries: int, first: int, items: int, a_turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbors_search, "_QUERIES_A_THREAD", queries)
    monkeypatch.setattr(neighbors_search, "_ITEMS_AT_FIRST", first)
    monkeypatch.setattr(neighbors_search, "_ITEMS_AT_ONCE", items)
    monkeypatch.setattr(neighbors_search, "_BLOCKS_A_TURN", a_turn)
    query_QD, gallery_GD = rows(19, 1), rows(61, 2)
    scores = query_QD.astype(float) @ gallery_GD.astype(float).T
    order = np.argsort(-scores, axis=1)[:, :5]

    found = first_items(query_QD, gallery_GD, 5)

    assert found.place_QK.tolist() == order.tolist()
    np.testing.assert_allclose(found.score_QK, np.take_along_axis(scores, order, axis=1), atol=1e-6)


def test_of_many_equal_scores_as_many_are_found_as_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gallery holds four different rows, and lies in a file."""
    monkeypatch.setattr(neighbors_search, "_ITEMS_AT_FIRST", 4)
    monkeypatch.setattr(neighbors_search, "_ITEMS_AT_ONCE", 16)
    drawn = np.random.default_rng(0).integers(0, 2, (300, 2)).astype(np.float32)
    np.save(tmp_path / "rows.npy", drawn)
    gallery_GD = np.load(tmp_path / "rows.npy", mmap_mode="r")
    query_QD = np.array([[1, 0], [0, 1], [1, 2], [-1, 0]], dtype=np.float32)
    scores = query_QD @ drawn.T

    found = first_items(query_QD, gallery_GD, 100)

    assert found.score_QK.tolist() == (-np.sort(-scores, axis=1)[:, :100]).tolist()
    assert np.take_along_axis(scores, found.place_QK, axis=1).tolist() == found.score_QK.tolist()
    assert [len(set(places)) for places in found.place_QK.tolist()] == [100] * 4


@pytest.mark.parametrize(
    ("first", "last", "places"),
    [
        pytest.param(0.0, 1.5, [0, 1, 2], id="best first"),
        pytest.param(1.5, 0.0, [49, 48, 47], id="best last"),
    ],
)
def test_a_sorted_gallery_is_searched_like_any_other(
    first: float, last: float, places: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbors_search, "_ITEMS_AT_FIRST", 4)
    angles = np.linspace(first, last, 50)
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    found = first_items(np.array([[1, 0]], dtype=np.float32), gallery, 3)

    assert found.place_QK.tolist() == [places]


def test_a_small_gallery_gives_all_of_its_items() -> None:
    found = first_items(rows(2, 1), rows(3, 2), 16)

    assert found.place_QK.shape == (2, 3)
    assert np.sort(found.place_QK).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_the_earlier_of_equals_comes_first() -> None:
    gallery = np.array([[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)

    found = first_items(np.array([[1, 0]], dtype=np.float32), gallery, 5)

    assert found.place_QK.tolist() == [[1, 2, 4, 0, 3]]
