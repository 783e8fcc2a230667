"""MixUp, beside what it stands for."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # its name everywhere

from openalign.train.fine_tune.losses import (
    Mix,
    draw_mix,
    mixed_cross_entropy,
    mixed_pixels,
)


def test_an_image_is_laid_over_its_partner() -> None:
    pixels = torch.tensor([0.0, 1.0, 10.0]).view(3, 1, 1, 1)
    mix = Mix(partner_B=torch.tensor([2, 0, 1]), share=0.75)

    found = mixed_pixels(pixels, mix).flatten().tolist()

    # 3/4 of 0 and 1/4 of 10; 3/4 of 1 and 1/4 of 0; 3/4 of 10 and 1/4 of 1.
    assert found == [2.5, 0.75, 7.75]


def test_the_mixed_loss_is_that_of_mixed_labels() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels, partner = torch.tensor([0, 1, 2, 1, 0]), torch.tensor([1, 2, 3, 4, 0])

    found = mixed_cross_entropy(logits, labels, Mix(partner_B=partner, share=0.3))

    soft = 0.3 * F.one_hot(labels, 3) + 0.7 * F.one_hot(labels[partner], 3)
    torch.testing.assert_close(found, F.cross_entropy(logits, soft))


def test_without_mixup_an_image_and_its_loss_are_its_own() -> None:
    pixels = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    mix = draw_mix(4, alpha=0.0, seed=1)

    assert mix.share == 1.0
    assert mixed_pixels(pixels, mix) is pixels
    # The label of any other image is impossible: a partner's share of 0 would make it no number.
    certain = torch.full((4, 4), -torch.inf).fill_diagonal_(0.0)
    assert mixed_cross_entropy(certain, torch.arange(4), mix).item() == 0.0


def test_a_mix_depends_on_the_seed_alone() -> None:
    mixes = [draw_mix(64, alpha=0.2, seed=seed) for seed in range(200)]
    again = draw_mix(64, alpha=0.2, seed=150)

    assert again.share == mixes[150].share
    assert torch.equal(again.partner_B, mixes[150].partner_B)
    assert sorted(again.partner_B.tolist()) == list(range(64))
    # Beta(0.2, 0.2) has the mean 1/2, and most of its mass near 0 and 1.
    shares = torch.tensor([mix.share for mix in mixes])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.1)
    assert float(((shares < 0.1) | (shares > 0.9)).float().mean()) > 0.5
