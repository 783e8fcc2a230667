"""Maps smaller than a depthwise kernel: products of matrices, beside the convolution itself."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from openalign.train.model.depthwise import depthwise, hasten_small_maps
from openalign.train.model.towers import build_towers

from tiny_training import tiny_config  # isort: skip

CHANNELS = 3


def layer_of(side: int, *, stride: int = 1) -> nn.Conv2d:
    """Return a depthwise convolution in float64, as the library makes it."""
    padding = "same" if stride == 1 else "valid"
    layer = nn.Conv2d(
        CHANNELS, CHANNELS, side, stride=stride, padding=padding, groups=CHANNELS, bias=False
    )
    return layer.double()


def maps(height: int, width: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    made = torch.randn(4, CHANNELS, height, width, generator=draw, dtype=torch.float64)
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


def gradients(layer: nn.Conv2d, output: Tensor, image: Tensor) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1.0, 1.0, output.numel(), dtype=output.dtype).reshape(output.shape)
    return torch.autograd.grad((output * weights).sum(), [image, layer.weight])


def convolves(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one each time that a layer's own forward pass runs."""
    runs: list[int] = []
    own = nn.Conv2d.forward

    def counted(self: nn.Conv2d, image: Tensor) -> Tensor:
        runs.append(1)
        return own(self, image)

    monkeypatch.setattr(nn.Conv2d, "forward", counted)
    return runs


@pytest.mark.parametrize(
    ("side", "height", "width"),
    [(3, 1, 1), (5, 1, 1), (3, 2, 2), (5, 2, 2), (5, 3, 3), (5, 4, 4), (5, 2, 3), (5, 3, 7)],
)
def test_a_map_smaller_than_the_kernel_gives_what_convolution_gives(
    side: int, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, image = layer_of(side), maps(height, width)
    expected = layer(image)
    runs = convolves(monkeypatch)

    found = depthwise(layer, image)

    assert runs == []
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    for one, two in zip(
        gradients(layer, found, image), gradients(layer, expected, image), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_by_hand_a_map_of_one_point_meets_the_middle_of_the_kernel() -> None:
    layer = layer_of(3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(27.0).reshape(CHANNELS, 1, 3, 3))
    image = torch.ones(1, CHANNELS, 1, 1, dtype=torch.float64)

    assert depthwise(layer, image).flatten().tolist() == [4.0, 13.0, 22.0]


def test_by_hand_a_column_of_two_points_meets_the_kernels_middle_column() -> None:
    layer = layer_of(3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(27.0).reshape(CHANNELS, 1, 3, 3))
    image = torch.tensor([1.0, 10.0], dtype=torch.float64).reshape(1, 1, 2, 1)

    found = depthwise(layer, image.expand(1, CHANNELS, 2, 1))

    # 4 * 1 + 7 * 10 above, 1 * 1 + 4 * 10 below; the other channels' kernels are 9 and 18 higher.
    assert found.flatten().tolist() == [74.0, 41.0, 74.0 + 99.0, 41.0 + 99.0, 272.0, 239.0]


@pytest.mark.parametrize(
    ("side", "height", "width"), [(3, 3, 3), (5, 5, 8), (5, 6, 6), (3, 1, 1000)]
)
def test_a_map_as_large_as_the_kernel_is_convolved(
    side: int, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, image = layer_of(side), maps(height, width)
    runs = convolves(monkeypatch)

    assert torch.equal(depthwise(layer, image), layer(image))
    assert len(runs) == 2


def test_only_depthwise_layers_that_keep_the_maps_size_are_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, halved = layer_of(5), layer_of(5, stride=2)
    pointwise = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False).double()
    model = nn.ModuleList([kept, halved, pointwise])
    hasten_small_maps(model)
    runs = convolves(monkeypatch)

    kept(maps(3, 3))
    assert runs == []
    halved(maps(5, 5))
    pointwise(maps(3, 3))
    assert len(runs) == 2


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"dilation": 2}, id="holes"),
        pytest.param({"kernel_size": 4}, id="no middle"),
        pytest.param({"kernel_size": (3, 5)}, id="oblong"),
        pytest.param({"padding_mode": "circular"}, id="another padding"),
        pytest.param({"out_channels": 2 * CHANNELS}, id="more channels"),
        pytest.param({"bias": True}, id="bias"),
    ],
)
def test_other_layers_stay_as_they_are(changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {
        "in_channels": CHANNELS,
        "out_channels": CHANNELS,
        "kernel_size": 3,
        "padding": "same",
        "groups": CHANNELS,
        "bias": False,
    }
    layer = nn.Conv2d(**settings | changes)

    hasten_small_maps(layer)

    assert "forward" not in vars(layer)


def test_towers_for_small_images_take_products_of_matrices() -> None:
    towers = build_towers(tiny_config(), vocabulary_size=50)
    layers = [m for m in towers.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    changed = [layer for layer in layers if "forward" in vars(layer)]

    assert changed
    assert len(changed) == sum(layer.stride == (1, 1) for layer in layers)
