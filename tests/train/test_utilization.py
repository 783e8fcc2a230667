"""The share of a device's peak that a run uses."""

from pathlib import Path

import pytest
import torch
from tiny_training import tiny_config, tiny_model

from openalign.telemetry import read_json_lines
from openalign.train import journal
from openalign.train.config import ModelConfig, TextTower
from openalign.train.presets import ImageTower
from openalign.train.utilization import (
    Products,
    Utilization,
    count_products,
    peak_of,
    products_of,
    utilization_of,
)


@pytest.mark.parametrize(
    ("name", "bf16", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12, 67e12),
        ("NVIDIA H100 PCIe", 756e12, 51e12),
        ("NVIDIA H200", 989e12, 67e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("NVIDIA A10", 125e12, 31.2e12),
        ("NVIDIA L4", 121e12, 30.3e12),
        ("NVIDIA L40S", 362e12, 91.6e12),
        ("Tesla V100-SXM2-16GB", None, 15.7e12),
        ("Tesla V100-PCIE-16GB", None, 14e12),
        ("Tesla T4", None, 8.1e12),
        ("NVIDIA A10G", None, None),
    ],
)
def test_a_peak_is_that_of_the_whole_name(
    name: str, bf16: float | None, fp32: float | None
) -> None:
    assert peak_of(name, "bf16") == bf16
    assert peak_of(name, "fp32") == fp32


@pytest.mark.parametrize(
    ("channels", "side", "groups", "weights"),
    [(256, 3, 256, 256 * 9), (32, 1, 1, 32 * 32)],
    ids=["depthwise", "pointwise"],
)
def test_a_convolution_has_two_operations_a_weight_and_point(
    channels: int, side: int, groups: int, weights: int
) -> None:
    """Forward they are over 8 x 8 points: 294,912 and 131,072. Each gradient takes as many again.

    The first layer of a tower has one gradient, its weights'; one that is frozen has its input's.
    """
    with torch.device("meta"):
        layer = torch.nn.Conv2d(channels, channels, side, padding="same", groups=groups, bias=False)
        pixels, maps = (torch.empty(1, channels, 8, 8, requires_grad=at) for at in (False, True))
    forward = 2 * weights * 64

    assert count_products(lambda: layer(maps)) == 3 * forward
    assert count_products(lambda: layer(pixels)) == 2 * forward
    layer.requires_grad_(requires_grad=False)
    assert count_products(lambda: layer(maps)) == 2 * forward
    assert count_products(lambda: layer(pixels)) == forward


@pytest.mark.parametrize("recomputes", [False, True], ids=["kept", "recomputed"])
def test_the_image_tower_of_b0_has_six_times_its_products_a_pixel(*, recomputes: bool) -> None:
    """B0 has 0.39 billion products forward at 224 px (EfficientNet, table 2), of which ours lacks
    the head: 320 x 1,280 weights at 7 x 7 points, and a classifier of 1,280 x 1,000.

    What is left are 0.37 billion, each two operations, three times. The text's are taken off.
    """
    tower = ImageTower(preset="b0", gradient_checkpointing=recomputes)
    model = ModelConfig(image_tower=tower, text_tower=TextTower(preset="mini"), crop_px=224)

    expected = 6 * (0.39e9 - 320 * 1280 * 49 - 1280 * 1000)

    of_pair = products_of(tiny_config(model=model)).per_pair
    assert of_pair == pytest.approx(expected, rel=0.03)


def test_a_tokens_products_are_those_of_the_layers_matrices() -> None:
    """A layer has 12 h^2 weights, each with 2 operations forward and 4 backward. Attention adds, by
    a token, 4 h for each token that it sees, and twice that backward.

    h is 32. From 2 tokens to 16 the sum of squares grows from 4 to 256: by 18 a token. No gradient
    goes to the embeddings below the first layer's input but theirs, so all of it is counted.
    """
    expected = 3 * (24 * 32**2 + 4 * 32 * 18)

    assert products_of(tiny_config()).per_token == pytest.approx(expected)


def test_a_larger_text_tower_leaves_the_rest_of_a_pair() -> None:
    """The projection of the first token grows with the hidden size: 2 h d forward, 4 h d behind."""
    one = products_of(tiny_config())
    text = TextTower(num_layers=2, hidden_size=32, num_heads=2)
    two = products_of(tiny_config(model=tiny_model(text_tower=text)))

    assert two.per_token == pytest.approx(2 * one.per_token)


def test_what_is_frozen_has_no_backward_pass() -> None:
    trained = products_of(tiny_config())

    text_frozen = products_of(tiny_config(frozen=("text_tower",)))
    assert text_frozen.per_token == pytest.approx(trained.per_token / 3)
    image_frozen = products_of(tiny_config(frozen=("image_tower",)))
    assert image_frozen.per_token == trained.per_token
    assert image_frozen.per_pair < 0.4 * trained.per_pair


def test_gradients_go_through_frozen_layers_above_trained_ones() -> None:
    """Those of the frozen weights alone are missing: 4 of 6 operations stay, of attention all."""
    frozen = products_of(tiny_config(frozen=("text_tower.encoder",)))

    assert frozen.per_token == pytest.approx(2 * 24 * 32**2 + 3 * 4 * 32 * 18)


def test_the_share_is_of_all_devices() -> None:
    """4 pairs of 100 and 10 tokens of 20 are 600 operations; 2 s at 1,000 a second are 2,000."""
    used = Utilization(products=Products(per_pair=100.0, per_token=20.0), peak=1000.0)

    assert used.share(num_pairs=4, num_tokens=10, seconds=2.0) == pytest.approx(0.3)


def test_cpus_have_none() -> None:
    assert utilization_of(tiny_config(), device=torch.device("cpu"), world_size=2) is None


@pytest.mark.parametrize("known", [True, False])
def test_it_is_noted_where_the_peak_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """The journal opens at 3 s and the step ends at 5 s: 600 operations of 2,000."""
    used = Utilization(products=Products(per_pair=100.0, per_token=20.0), peak=1000.0)
    monkeypatch.setattr(journal.time, "monotonic", lambda: 3.0)
    opened = journal.Journal(
        tmp_path, first_step=0, total_steps=8, utilization=used if known else None
    )
    monkeypatch.setattr(journal.time, "monotonic", lambda: 5.0)
    opened.passed(0, num_samples=4, num_tokens=10, waited=0.0, shown="")
    opened.close()

    [noted] = read_json_lines((tmp_path / journal.RUN_LOG).read_text())
    assert noted.get("mfu") == (pytest.approx(0.3) if known else None)
