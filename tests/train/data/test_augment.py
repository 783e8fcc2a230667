import math

import numpy as np
import pytest
import torch

from openalign.train.config import Augmentation
from openalign.train.data.augment import draw_cuts
from openalign.train.data.order import Positions, draws_at
from openalign.train.data.pixel_batch import PixelBatch
from openalign.train.data.preprocess import Pixels, Preprocess, on_device, to_tensor

NONE = Augmentation(random_crop=False, horizontal_flip=False)
POSITIONS = np.arange(100, 164)


def augment(
    images: Pixels,
    positions: Positions,
    *,
    crop_px: int,
    augmentation: Augmentation,
    seed: int,
    color_scaling: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the pixels of a batch of these images."""
    side_px = images.shape[1]
    cuts = draw_cuts(
        positions, resize_px=side_px, crop_px=crop_px, augmentation=augmentation, seed=seed
    )
    kept_px = side_px if augmentation.warps else crop_px
    kept = torch.zeros((len(images), kept_px, kept_px, 3), dtype=torch.uint8)
    for number, image in enumerate(images):
        cuts.put(kept, number, image)
    batch = PixelBatch(
        images=kept,
        crop_px=crop_px,
        warps=cuts.warps,
        color_scaling=color_scaling,
    )
    return batch[:]


def ramps(count: int, side_px: int) -> np.ndarray:
    """Images whose red is the column and whose green is the row, in eighths of a step."""
    image = np.zeros((count, side_px, side_px, 3), dtype=np.uint8)
    image[..., 0] = 8 * np.arange(side_px)[None, None, :]
    image[..., 1] = 8 * np.arange(side_px)[None, :, None]
    return image


def columns(pixels: torch.Tensor) -> torch.Tensor:
    return ((pixels[:, 0] + 1) * 127.5 / 8).round().int()


def test_without_augmentation_the_middle_is_taken() -> None:
    pixels = augment(ramps(64, 8), POSITIONS, crop_px=4, augmentation=NONE, seed=0)

    assert pixels.shape == (64, 3, 4, 4)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert (columns(pixels) == torch.tensor([2, 3, 4, 5])).all()


@pytest.mark.parametrize(
    "preprocess",
    [
        pytest.param(Preprocess(), id="from -1 to 1"),
        pytest.param(Preprocess(mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28)), id="a mean"),
    ],
)
def test_a_batch_has_the_pixels_that_slicing_gives_bit_for_bit(preprocess: Preprocess) -> None:
    """The slow and obvious way: cut and mirror an array, then make floats of it with NumPy."""
    images = np.random.default_rng(0).integers(0, 256, (64, 9, 9, 3), dtype=np.uint8)
    draws = draws_at(POSITIONS, num_draws=8, seed=3)
    crops = []
    for image, (down, right, side) in zip(images, draws[:, :3], strict=True):
        top, left = int(down * 5), int(right * 5)
        crop = image[top : top + 5, left : left + 5]
        crops.append(crop[:, ::-1] if side < 0.5 else crop)
    expected = preprocess.normalized(to_tensor(np.stack(crops)))

    pixels = augment(
        images,
        POSITIONS,
        crop_px=5,
        augmentation=Augmentation(),
        seed=3,
        color_scaling=preprocess.color_scaling(),
    )

    assert torch.equal(pixels, expected)


def test_some_rows_of_a_batch_are_those_of_the_whole() -> None:
    images = torch.randint(0, 256, (6, 8, 8, 3), dtype=torch.uint8)
    warps = torch.eye(2, 3).expand(6, 2, 3) * torch.linspace(0.5, 1.0, 6)[:, None, None]
    batch = PixelBatch(images=images, crop_px=5, warps=warps, color_scaling=None)

    assert len(batch) == 6
    assert torch.equal(batch[2:4], batch[:][2:4])
    assert batch[2:4].shape == (2, 3, 5, 5)


def test_every_byte_becomes_the_same_float_on_a_device_as_with_numpy() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)

    found = on_device(torch.from_numpy(values))

    assert torch.equal(found, to_tensor(values))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_crops_fall_everywhere_and_nowhere_else() -> None:
    augmentation = Augmentation(horizontal_flip=False)

    pixels = augment(ramps(64, 8), POSITIONS, crop_px=4, augmentation=augmentation, seed=0)

    left = columns(pixels)[:, 0, 0]
    top = ((pixels[:, 1, 0, 0] + 1) * 127.5 / 8).round().int()
    assert set(left.tolist()) == set(top.tolist()) == {0, 1, 2, 3, 4}
    assert (columns(pixels) == left[:, None, None] + torch.arange(4)).all()
    assert left.tolist() != top.tolist()


def test_about_half_of_the_images_are_mirrored() -> None:
    augmentation = Augmentation(random_crop=False)

    pixels = augment(ramps(64, 4), POSITIONS, crop_px=4, augmentation=augmentation, seed=0)

    mirrored = [row.tolist() == [3, 2, 1, 0] for row in columns(pixels)[:, 0]]
    assert all(row.tolist() in ([0, 1, 2, 3], [3, 2, 1, 0]) for row in columns(pixels)[:, 0])
    assert 16 <= sum(mirrored) <= 48


@pytest.mark.parametrize(
    "augmentation",
    [
        pytest.param(Augmentation(), id="the paper's"),
        pytest.param(Augmentation(rotation_degrees=9, scale=0.1, shift=0.1), id="a warp"),
    ],
)
def test_a_position_is_augmented_alike_however_the_run_is_cut(augmentation: Augmentation) -> None:
    images = ramps(64, 8)
    whole = augment(images, POSITIONS, crop_px=6, augmentation=augmentation, seed=4)

    parts = [
        augment(
            images[i : i + 8], POSITIONS[i : i + 8], crop_px=6, augmentation=augmentation, seed=4
        )
        for i in range(0, 64, 8)
    ]

    torch.testing.assert_close(torch.cat(parts), whole)
    other = augment(images, POSITIONS, crop_px=6, augmentation=augmentation, seed=5)
    assert not torch.allclose(other, whole)


def test_a_warp_that_is_nearly_nothing_is_the_crop() -> None:
    """The affine path must agree with the slicing path: crop place, mirror, both axes."""
    images = ramps(64, 8)
    sliced = augment(images, POSITIONS, crop_px=6, augmentation=Augmentation(), seed=1)

    warped = augment(images, POSITIONS, crop_px=6, augmentation=Augmentation(shift=1e-9), seed=1)

    torch.testing.assert_close(warped, sliced, atol=1e-4, rtol=0)
    assert warped.is_contiguous(memory_format=torch.channels_last)


def test_a_shift_moves_by_a_share_of_the_side() -> None:
    augmentation = Augmentation(random_crop=False, horizontal_flip=False, shift=0.25)
    images = ramps(64, 16)

    pixels = augment(images, POSITIONS, crop_px=8, augmentation=augmentation, seed=0)

    # Draw 7 is the way right: from -4 px to 4 px of 16; the crop's first column is number 4.
    right_px = (2 * draws_at(POSITIONS, num_draws=8, seed=0)[:, 7] - 1) * 4
    found = (pixels[:, 0, 4, 0] + 1) * 127.5 / 8
    np.testing.assert_allclose(found.numpy(), 4 + right_px, atol=0.02)


def test_a_turn_is_a_rotation_about_the_crops_middle() -> None:
    augmentation = Augmentation(random_crop=False, horizontal_flip=False, rotation_degrees=30)
    images = ramps(64, 16)

    pixels = augment(images, POSITIONS, crop_px=8, augmentation=augmentation, seed=0)

    angle = (2 * draws_at(POSITIONS, num_draws=8, seed=0)[:, 3] - 1) * math.radians(30)
    # From the middle (7.5, 7.5) to the center of the crop's last pixel in the middle row.
    x, y = 3.5, -0.5
    found = (pixels[:, :2, 3, 7] + 1) * 127.5 / 8
    expected_x = 7.5 + x * np.cos(angle) - y * np.sin(angle)
    expected_y = 7.5 + x * np.sin(angle) + y * np.cos(angle)
    np.testing.assert_allclose(found[:, 0].numpy(), expected_x, atol=0.02)
    np.testing.assert_allclose(found[:, 1].numpy(), expected_y, atol=0.02)


def test_beyond_the_border_the_edge_goes_on() -> None:
    """No black frame, which the tower could learn to read."""
    augmentation = Augmentation(random_crop=False, horizontal_flip=False, shift=0.4)

    pixels = augment(
        np.full((64, 8, 8, 3), 200, dtype=np.uint8),
        POSITIONS,
        crop_px=8,
        augmentation=augmentation,
        seed=0,
    )

    expected = torch.full_like(pixels, 200 / 127.5 - 1)
    assert float((pixels - expected).abs().max()) < 1e-5
