"""Crops of labeled images: Inception's random one, and the central one."""

import io

import numpy as np
import pytest
from PIL import Image

from openalign.errors import InputError
from openalign.train.fine_tune.crops import (
    Box,
    Draws,
    central_box,
    evaluation_crops,
    random_box,
    training_crops,
)


def draws_of(*tries: tuple[float, float, float, float]) -> Draws:
    """Return the draws of ten tries; the last one given goes on."""
    return np.array([*tries, *[tries[-1]] * (10 - len(tries))]).ravel()


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


HALF_AREA = (0.5 - 0.08) / 0.92
"""The draw for a crop of half the area."""


@pytest.mark.parametrize(
    ("size", "draws", "expected"),
    [
        # Half of 10,000 pixels as a square: 70.7 a side, rounded to 71; 30 places to begin at.
        pytest.param(
            (100, 100), draws_of((HALF_AREA, 0.5, 0.0, 0.999)), Box(0, 29, 71, 100), id="a square"
        ),
        # 8 % of 10,000 at 4:3: 800 pixels, 32.66 by 24.49.
        pytest.param((100, 100), draws_of((0.0, 1 - 1e-12, 0.0, 0.0)), Box(0, 0, 33, 24), id="4:3"),
        pytest.param((100, 100), draws_of((0.0, 0.0, 0.0, 0.0)), Box(0, 0, 24, 33), id="3:4"),
        # The whole area at 4:3 does not fit into a square; the second try does.
        pytest.param(
            (100, 100),
            draws_of((1.0, 1 - 1e-12, 0.0, 0.0), (HALF_AREA, 0.5, 0.0, 0.0)),
            Box(0, 0, 71, 71),
            id="the second try",
        ),
        # 900 by 30 at half its area is at least 100 high: the largest 4:3 in the middle is 40.
        pytest.param(
            (900, 30), draws_of((HALF_AREA, 0.5, 0.0, 0.0)), Box(430, 0, 470, 30), id="too wide"
        ),
        pytest.param(
            (30, 900), draws_of((HALF_AREA, 0.5, 0.0, 0.0)), Box(0, 430, 30, 470), id="too high"
        ),
        pytest.param((1, 1), draws_of((1.0, 0.5, 0.0, 0.0)), Box(0, 0, 1, 1), id="one pixel"),
    ],
)
def test_a_random_box(size: tuple[int, int], draws: Draws, expected: Box) -> None:
    assert random_box(*size, draws) == expected


def test_random_boxes_lie_inside_and_cover_what_inceptions_do() -> None:
    draws = np.random.default_rng(0).random((2000, 40))

    boxes = [random_box(64, 48, of_one) for of_one in draws]

    assert all(0 <= b.left < b.right <= 64 and 0 <= b.top < b.bottom <= 48 for b in boxes)
    areas = [(b.right - b.left) * (b.bottom - b.top) / (64 * 48) for b in boxes]
    shapes = [(b.right - b.left) / (b.bottom - b.top) for b in boxes]
    # Sides are whole pixels, so the bounds are met up to their rounding.
    assert 0.07 < min(areas) < 0.10
    assert 0.95 < max(areas) <= 1.0
    assert 0.70 < min(shapes) < 0.80
    assert 1.28 < max(shapes) < 1.45


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # 0.875 of 80 is 70: 5 above and below, 15 left and right.
        pytest.param((100, 80), Box(15, 5, 85, 75), id="landscape"),
        pytest.param((80, 100), Box(5, 15, 75, 85), id="portrait"),
        pytest.param((1, 1), Box(0, 0, 1, 1), id="one pixel"),
    ],
)
def test_the_central_box(size: tuple[int, int], expected: Box) -> None:
    assert central_box(*size) == expected


def test_evaluation_sees_the_middle() -> None:
    pixels = np.zeros((80, 100, 3))
    pixels[5:75, 15:85] = 255  # the central box, white on black

    found = evaluation_crops([png(pixels)], side_px=8)

    assert found.shape == (1, 8, 8, 3)
    assert found.min() == found.max() == 255


def test_training_crops_depend_on_the_position_and_the_seed_alone() -> None:
    content = png(np.random.default_rng(0).integers(0, 256, (60, 50, 3)))

    def crops(positions: list[int], seed: int = 1) -> np.ndarray:
        contents = [content] * len(positions)
        return training_crops(contents, np.array(positions), side_px=8, seed=seed)

    both = crops([4, 9])

    assert both.shape == (2, 8, 8, 3)
    assert np.array_equal(both[1:], crops([9]))
    assert not np.array_equal(both[0], both[1])
    assert not np.array_equal(both, crops([4, 9], seed=2))


def test_every_other_image_is_mirrored() -> None:
    ramp = np.broadcast_to(np.arange(64)[None, :, None] * 4, (64, 64, 3))
    positions = np.arange(200)

    found = training_crops([png(ramp)] * 200, positions, side_px=4, seed=0)

    falling = (found[:, 0, 0, 0] > found[:, 0, -1, 0]).mean()
    assert 0.4 < float(falling) < 0.6


def test_bytes_that_are_no_image_are_refused() -> None:
    with pytest.raises(InputError, match="an image cannot be decoded"):
        evaluation_crops([b"no image"], side_px=8)
