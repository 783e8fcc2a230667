import math
from collections.abc import Generator
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from openalign.train.config import ImageTower, TextTower, TrainConfig
from openalign.train.model.towers import (
    Pass,
    StochasticDepth,
    build_towers,
    embedding_width,
)

from tiny_training import tiny_config, tiny_model  # isort: skip

SIZE = 50


def config_with(**image: object) -> TrainConfig:
    values = {"preset": "b0", "width": 0.25, "depth": 0.3, "stochastic_depth": 0.0} | image
    text = TextTower(num_layers=1, hidden_size=32, num_heads=2, dropout=0.0)
    tower = ImageTower(**values)  # pyright: ignore[reportArgumentType]
    return tiny_config(model=tiny_model(image_tower=tower, text_tower=text))


def inputs(size: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(size, 3, 32, 32, generator=draw)
    ids = torch.randint(5, SIZE, (size, 6), generator=draw)
    return pixels.contiguous(memory_format=torch.channels_last), ids, torch.ones_like(ids)


def batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.fixture
def one_thread() -> Generator[None]:
    """Several add in an order that changes from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_embeddings_have_unit_length_and_one_width() -> None:
    image, text, temperature = build_towers(config_with(), vocabulary_size=SIZE)(*inputs())

    assert image.shape == text.shape == (4, 80)
    torch.testing.assert_close(image.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(4))
    assert temperature.tolist() == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("width", "expected"),
    [(1.0, 320), (1.1, 352), (1.8, 576), (2.0, 640), (4.3, 1376), (0.35, 112), (0.01, 8)],
)
def test_the_embedding_is_as_wide_as_the_last_block(width: float, expected: int) -> None:
    """ALIGN §6.1: 640 for B7, 1376 for L2."""
    assert embedding_width(width) == expected


def test_no_parameter_is_one_that_deepspeed_cannot_broadcast() -> None:
    for name, p in build_towers(config_with(), vocabulary_size=SIZE).named_parameters():
        assert p.ndim > 0, name
        assert p.is_contiguous(), name


def test_every_parameter_gets_a_gradient() -> None:
    """The library's pooler would not; under LAMB it would decay for nothing."""
    towers = build_towers(config_with(), vocabulary_size=SIZE)
    image, text, temperature = towers(*inputs())
    ((image @ text.T) / temperature).diagonal().sum().backward()

    assert [n for n, p in towers.named_parameters() if p.grad is None] == []


def test_every_batch_norm_has_the_momentum_that_is_set() -> None:
    """The library's expansion layers do not take it from the config."""
    towers = build_towers(config_with(batch_norm_momentum=0.03), vocabulary_size=SIZE)

    assert {layer.momentum for layer in batch_norms(towers)} == {0.03}
    assert len(batch_norms(towers)) > 10


def test_convolutions_are_drawn_by_fan_out() -> None:
    """EfficientNet: variance 2 / (k * k * outputs of the group); the library's is 0.02 squared."""
    towers = build_towers(config_with(width=1.0), vocabulary_size=SIZE)
    convolutions = [m for m in towers.modules() if isinstance(m, nn.Conv2d)]
    ratios = [
        float(m.weight.detach().std())
        / math.sqrt(2 / (m.kernel_size[0] ** 2 * m.out_channels / m.groups))
        for m in convolutions
    ]

    assert len(ratios) > 20
    # The standard error of a deviation over n weights is 1 / sqrt(2 n).
    for ratio, m in zip(ratios, convolutions, strict=True):
        assert abs(ratio - 1) < 5 / math.sqrt(2 * m.weight.numel())


def test_weights_are_a_function_of_the_seed() -> None:
    first = build_towers(config_with(), vocabulary_size=SIZE).state_dict()
    torch.randn(3)
    again = build_towers(config_with(), vocabulary_size=SIZE).state_dict()
    other = build_towers(replace(config_with(), seed=1), vocabulary_size=SIZE).state_dict()
    name = "align.text_projection.weight"

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    layer = StochasticDepth(0.25)
    torch.manual_seed(0)

    kept = layer(torch.ones(4000, 2, 3, 3)).flatten(1)

    assert (kept == kept[:, :1]).all()
    assert sorted(set(kept[:, 0].tolist())) == pytest.approx([0.0, 1 / 0.75])
    # 4000 draws of three in four: five standard errors are 0.034 of the share.
    assert abs((kept[:, 0] > 0).float().mean().item() - 0.75) < 0.035


def test_stochastic_depth_does_nothing_in_evaluation() -> None:
    branch = torch.randn(3, 2, 1, 1)

    assert torch.equal(StochasticDepth(0.9).eval()(branch), branch)


def test_stochastic_depth_grows_from_nothing_to_nearly_its_setting() -> None:
    towers = build_towers(config_with(stochastic_depth=0.2), vocabulary_size=SIZE)
    rates = [m.probability for m in towers.modules() if isinstance(m, StochasticDepth)]

    assert rates[0] == 0.0
    assert rates == pytest.approx([0.2 * k / len(rates) for k in range(len(rates))])


@pytest.mark.usefixtures("one_thread")
def test_recomputing_layers_changes_neither_gradients_nor_statistics() -> None:
    plain = build_towers(config_with(stochastic_depth=0.3), vocabulary_size=SIZE)
    saving_config = config_with(stochastic_depth=0.3, gradient_checkpointing=True)
    text = replace(saving_config.model.text_tower, gradient_checkpointing=True)
    saving_config = replace(saving_config, model=replace(saving_config.model, text_tower=text))
    saving = build_towers(saving_config, vocabulary_size=SIZE)
    for towers in (plain, saving):
        torch.manual_seed(0)
        image, words, _ = towers(*inputs())
        (image * words).sum().backward()

    for (name, one), two in zip(plain.named_parameters(), saving.parameters(), strict=True):
        if name != "temperature":
            assert one.grad is not None
            assert two.grad is not None, name
            assert torch.equal(two.grad, one.grad), name
    (one,), (two,) = plain.statistics_of_passes, saving.statistics_of_passes
    assert torch.equal(two, one)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_compiled_towers_compute_the_same_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes with recomputed layers; the backend captures and runs torch's own operators."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    config = config_with(gradient_checkpointing=True)
    plain = build_towers(config_with(), vocabulary_size=SIZE)
    compiled = build_towers(replace(config, compile=True), vocabulary_size=SIZE)
    passes = [Pass(start, start + 4, num_tokens=6, seed=start) for start in (0, 4)]
    torch._dynamo.reset()  # what other tests have compiled
    counters.clear()
    for towers in (plain, compiled):
        image, words, _ = towers(*inputs(8), passes=passes)
        (image * words).sum().backward()

    assert counters["stats"]["unique_graphs"] == 1
    assert counters["graph_break"] == {}
    for (name, one), two in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        if name != "temperature":
            assert one.grad is not None
            assert two.grad is not None, name
            assert torch.equal(two.grad, one.grad), name
    for one, two in zip(plain.statistics_of_passes, compiled.statistics_of_passes, strict=True):
        assert torch.equal(two, one)


def test_under_autocast_embeddings_and_temperature_stay_fp32() -> None:
    towers = build_towers(replace(config_with(), precision="bf16"), vocabulary_size=SIZE)

    image, text, temperature = towers(*inputs())

    assert {image.dtype, text.dtype, temperature.dtype} == {torch.float32}
    exact, *_ = build_towers(config_with(), vocabulary_size=SIZE)(*inputs())
    assert not torch.equal(image, exact)
    assert ((image * exact).sum(1) > 0.9).all()
