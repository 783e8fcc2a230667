import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from openalign.train.config import LossForm
from openalign.train.model.loss import chosen_form, contrastive_loss

NUM_PAIRS, WIDTH = 4, 8
SIGMA = torch.tensor([0.25])

each_form = pytest.mark.parametrize("form", ["plain", "rows", "tiled"])


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


@each_form
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_matches_equations_1_and_2_written_out(form: LossForm, smoothing: float) -> None:
    image, text = unit_rows(0), unit_rows(1)

    loss = contrastive_loss(image, text, SIGMA, label_smoothing=smoothing, form=form)

    assert loss.item() == pytest.approx(written_out(image, text, 0.25, smoothing), rel=1e-5)


@each_form
def test_equal_embeddings_are_at_chance(form: LossForm) -> None:
    """Two directions of ln N each."""
    same = torch.ones(NUM_PAIRS, WIDTH) / math.sqrt(WIDTH)

    loss = contrastive_loss(same, same, SIGMA, label_smoothing=0.1, form=form)

    assert loss.item() == pytest.approx(2 * math.log(NUM_PAIRS), rel=1e-5)


@each_form
def test_the_temperature_divides(form: LossForm) -> None:
    """Matching pairs on orthogonal axes: the colder, the smaller the loss."""
    axes = torch.eye(NUM_PAIRS)

    loss = contrastive_loss(axes, axes, torch.tensor([0.5]), label_smoothing=0.0, form=form)

    assert loss.item() == pytest.approx(2 * math.log1p(3 * math.exp(-2)), rel=1e-5)


@each_form
def test_images_and_texts_are_not_interchangeable_with_their_neighbors(form: LossForm) -> None:
    axes = torch.eye(NUM_PAIRS)

    matched = contrastive_loss(axes, axes, SIGMA, label_smoothing=0.0, form=form)
    shifted = contrastive_loss(axes, axes.roll(1, 0), SIGMA, label_smoothing=0.0, form=form)

    assert shifted > matched + 7.9  # each of two directions loses 1 / 0.25


@each_form
@pytest.mark.parametrize(
    ("smoothing", "of_first_two", "of_third"), [(0.0, 2.0, 2.0), (0.3, 1.7, 1.6)]
)
def test_another_pair_of_the_same_image_is_no_candidate(
    form: LossForm, smoothing: float, of_first_two: float, of_third: float
) -> None:
    """Pairs 0 and 1 show one image and are equal: with sigma 0.5 logits are 2, their own and each
    other's, or 0. Left are logits 2, 0 for them, and 2, 0, 0 for pair 2. With a smoothing of 0.3
    the mean of the candidates' counts for 0.3: 0.7 * 2 + 0.3 * 1, and 0.7 * 2 + 0.3 * 2 / 3.
    """
    axes = torch.eye(3)[[0, 0, 2]]
    ids = torch.tensor([7, 7, -1])

    loss = contrastive_loss(
        axes, axes, torch.tensor([0.5]), label_smoothing=smoothing, form=form, image_ids_B=ids
    )

    first_two = math.log(math.exp(2) + 1) - of_first_two
    third = math.log(math.exp(2) + 2) - of_third
    assert loss.item() == pytest.approx(2 * (2 * first_two + third) / 3, rel=1e-5)


@each_form
def test_pairs_of_one_image_alone_have_nothing_to_learn(form: LossForm) -> None:
    image = unit_rows(0).requires_grad_()
    ids = torch.zeros(NUM_PAIRS, dtype=torch.int64)

    loss = contrastive_loss(
        image, unit_rows(1), SIGMA, label_smoothing=0.1, form=form, image_ids_B=ids
    )
    loss.backward()

    assert image.grad is not None
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert image.grad.abs().max() < 1e-5


def test_auto_goes_by_the_global_batch() -> None:
    assert chosen_form("auto", num_pairs=2048) == "rows"
    assert chosen_form("auto", num_pairs=2049) == "tiled"
    assert chosen_form("plain", num_pairs=2049) == "plain"
