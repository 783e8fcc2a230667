import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from openalign.train.model.loss import contrastive_loss

NUM_PAIRS, WIDTH = 4, 8
SIGMA = torch.tensor([0.25])


def unit_rows(seed: int) -> Tensor:
    return F.normalize(torch.randn(NUM_PAIRS, WIDTH, generator=torch.Generator().manual_seed(seed)))


def written_out(image: Tensor, text: Tensor, sigma: float, smoothing: float) -> float:
    """Eq. 1 and 2, summed; a share of the target's mass is spread over all N texts or images."""
    total = 0.0
    for i in range(NUM_PAIRS):
        i2t = [math.exp(float(image[i] @ text[j]) / sigma) for j in range(NUM_PAIRS)]
        t2i = [math.exp(float(text[i] @ image[j]) / sigma) for j in range(NUM_PAIRS)]
        for row in (i2t, t2i):
            for j, value in enumerate(row):
                mass = (1 - smoothing) * (i == j) + smoothing / NUM_PAIRS
                total -= mass * math.log(value / sum(row)) / NUM_PAIRS
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_matches_equations_1_and_2_written_out(smoothing: float) -> None:
    image, text = unit_rows(0), unit_rows(1)

    loss = contrastive_loss(image, text, SIGMA, label_smoothing=smoothing)

    assert loss.item() == pytest.approx(written_out(image, text, 0.25, smoothing), rel=1e-5)


def test_equal_embeddings_are_at_chance() -> None:
    """Two directions of ln N each."""
    same = torch.ones(NUM_PAIRS, WIDTH) / math.sqrt(WIDTH)

    loss = contrastive_loss(same, same, SIGMA, label_smoothing=0.1)

    assert loss.item() == pytest.approx(2 * math.log(NUM_PAIRS), rel=1e-5)


def test_the_temperature_divides() -> None:
    """Matching pairs on orthogonal axes: the colder, the smaller the loss."""
    axes = torch.eye(NUM_PAIRS)

    loss = contrastive_loss(axes, axes, torch.tensor([0.5]), label_smoothing=0.0)

    assert loss.item() == pytest.approx(2 * math.log1p(3 * math.exp(-2)), rel=1e-5)


def test_images_and_texts_are_not_interchangeable_with_their_neighbors() -> None:
    axes = torch.eye(NUM_PAIRS)

    matched = contrastive_loss(axes, axes, SIGMA, label_smoothing=0.0)
    shifted = contrastive_loss(axes, axes.roll(1, 0), SIGMA, label_smoothing=0.0)

    assert shifted > matched + 7.9  # each of two directions loses 1 / 0.25
