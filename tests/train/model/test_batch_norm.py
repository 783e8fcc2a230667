"""Batch norm over blocks and groups, beside PyTorch's own over the same images."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from openalign.train.model.batch_norm import (
    BlockBatchNorm,
    move_running_statistics,
    pass_statistics,
    reestimate_batch_norm,
    replace_batch_norms,
    running_statistics,
)
from openalign.train.presets import BatchNorm, GhostBatchNorm, LocalBatchNorm

CHANNELS = 3


def images(size: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    made = 2.0 + 3.0 * torch.randn(size, CHANNELS, 4, 4, generator=draw)
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


def torchs_own() -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(CHANNELS, eps=1e-3, momentum=0.3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        layer.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    return layer


def layer_of(kind: BatchNorm) -> BlockBatchNorm:
    return BlockBatchNorm(torchs_own(), momentum=0.3, kind=kind)


def column(*values: float) -> Tensor:
    """Return images of one channel and one pixel."""
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def gradients(layer: nn.Module, output: Tensor, image: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1.0, 1.0, output.numel()).reshape(output.shape)
    return list(torch.autograd.grad((output * weights).sum(), [image, *layer.parameters()]))


def test_a_block_is_normalized_as_torch_would_and_moves_what_torch_would() -> None:
    own, layer, image = torchs_own(), layer_of(LocalBatchNorm()), images(6)

    expected, found = own(image), layer(image)
    move_running_statistics(layer, [pass_statistics([layer])], share=1.0)

    assert torch.equal(found, expected)
    for one, two in zip(
        gradients(layer, found, image), gradients(own, expected, image), strict=True
    ):
        assert torch.equal(one, two)
    torch.testing.assert_close(layer.running_mean, own.running_mean)
    torch.testing.assert_close(layer.running_var, own.running_var)


def test_a_ghost_group_is_normalized_as_a_batch_of_its_own() -> None:
    layer, image = layer_of(GhostBatchNorm(group_size=2)), images(6)
    alone = layer_of(LocalBatchNorm())

    found = layer(image)
    groups: list[Tensor] = []
    statistics: list[Tensor] = []
    for start in (0, 2, 4):
        groups.append(alone(image[start : start + 2]))
        statistics.append(pass_statistics([alone]))

    expected = torch.cat(groups)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for one, two in zip(
        gradients(layer, found, image), gradients(alone, expected, image), strict=True
    ):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(pass_statistics([layer]), torch.stack(statistics).mean(0))
    assert not torch.allclose(found, layer_of(LocalBatchNorm())(image))


def test_a_pass_moves_nothing_and_a_step_moves_by_the_mean_over_blocks() -> None:
    """Means 1 and 8, unbiased variances 2 and 8, then their means 4.5 and 5: a tenth of the way."""
    layer = BlockBatchNorm(nn.BatchNorm2d(1), momentum=0.1, kind=LocalBatchNorm())
    passes: list[Tensor] = []
    for values in ((0.0, 2.0), (6.0, 10.0)):
        layer(column(*values))
        passes.append(pass_statistics([layer]))
    assert running_statistics(layer).tolist() == [0.0, 1.0]

    move_running_statistics(layer, passes, share=0.5)

    assert running_statistics(layer).tolist() == pytest.approx([0.45, 0.9 + 0.5])


def test_shares_of_ranks_average_to_the_step_of_one_rank() -> None:
    """Three blocks; one rank has two of them, the other one: each counts for two thirds."""
    found: list[Tensor] = []
    for blocks in ([0, 1], [2]):
        layer = BlockBatchNorm(nn.BatchNorm2d(1), momentum=0.1, kind=LocalBatchNorm())
        passes: list[Tensor] = []
        for block in blocks:
            layer(column(block, block + 2.0))  # means 1, 2 and 3
            passes.append(pass_statistics([layer]))
        move_running_statistics(layer, passes, share=2 / 3)
        found.append(running_statistics(layer))

    assert ((found[0] + found[1]) / 2).tolist() == pytest.approx([0.2, 0.9 + 0.2])


def test_a_pass_that_is_not_finite_leaves_nothing_in_the_next() -> None:
    layer = layer_of(LocalBatchNorm())
    layer(images(4) * float("nan"))
    assert pass_statistics([layer]).isnan().all()

    layer(images(4))

    assert pass_statistics([layer]).isfinite().all()


def test_in_evaluation_the_running_statistics_are_used() -> None:
    layer, own = layer_of(LocalBatchNorm()).eval(), torchs_own().eval()
    image = images(2)

    assert torch.equal(layer(image), own(image))


def test_every_batch_norm_inside_is_replaced_under_its_name_with_its_state() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(torchs_own()))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    replace_batch_norms(model, momentum=0.3, kind=LocalBatchNorm())

    assert [type(layer) for layer in model.modules()][-1] is BlockBatchNorm
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_statistics_are_the_mean_over_passes_in_evaluation_mode() -> None:
    """Means 1, 4 and 8, unbiased variances 2, 0 and 8: two batches, one of two passes."""
    norm = BlockBatchNorm(nn.BatchNorm2d(1), momentum=0.3, kind=LocalBatchNorm())
    dropout = nn.Dropout(0.5)
    model = nn.Sequential(norm, dropout)
    seen: list[tuple[bool, bool]] = []

    def run() -> Iterator[list[Tensor]]:
        for blocks in (((0.0, 2.0), (4.0, 4.0)), ((6.0, 10.0),)):
            passes: list[Tensor] = []
            for values in blocks:
                seen.append((norm.training, dropout.training))
                model(column(*values))
                passes.append(pass_statistics([norm]))
            yield passes

    reestimate_batch_norm(model, run(), num_passes=3)

    assert seen == [(True, False)] * 3
    assert running_statistics(model).tolist() == pytest.approx([13 / 3, 10 / 3])
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.item() == 2
    assert model.training
