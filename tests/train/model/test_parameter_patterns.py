from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_training import tiny_config
from torch import nn

from openalign.errors import ConfigError
from openalign.train.model.batch_norm import (
    batch_norms,
    move_running_statistics,
    pass_statistics,
    reestimate_batch_norm,
)
from openalign.train.model.parameter_patterns import matching
from openalign.train.model.towers import build_towers
from openalign.train.optim.lamb import build_optimizer, ema_share

NAMES = [
    "image_tower.encoder.blocks.0.depthwise_conv.depthwise_norm.weight",
    "image_tower.encoder.blocks.1.depthwise_conv.depthwise_norm.weight",
    "image_tower.encoder.blocks.10.depthwise_conv.depthwise_norm.weight",
    "text_tower.embeddings.LayerNorm.weight",
    "text_projection.bias",
    "temperature",
]


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        ("image_tower", [0, 1, 2]),
        ("image_tower.encoder.blocks.1", [1]),
        ("image_tower.encoder.blocks.[01]", [0, 1]),
        ("*norm*", [0, 1, 2]),
        ("*.bias", [4]),
        ("temperature", [5]),
        ("text", []),
        ("Text_tower", []),
    ],
)
def test_a_pattern_means_a_part_and_all_in_it(pattern: str, places: list[int]) -> None:
    assert matching(pattern, NAMES) == [NAMES[place] for place in places]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"frozen": ("image_towr",)},
            "`train.frozen` names 'image_towr', and no parameter of the model is called so",
        ),
        (
            {"learning_rate_factors": {"text_tower.encoder.layer.7": 0.1}},
            "`train.learning_rate_factors` names 'text_tower.encoder.layer.7', and no parameter",
        ),
        (
            {"frozen": ("*",)},
            "`train.frozen` leaves no parameter to train",
        ),
    ],
    ids=["frozen", "factor", "all"],
)
def test_patterns_that_are_of_no_use_are_refused(changes: dict[str, object], said: str) -> None:
    config = replace(tiny_config(), **changes)

    with pytest.raises(ConfigError) as refused:
        build_optimizer(build_towers(config, vocabulary_size=50), config)

    assert said in str(refused.value)


def test_what_is_frozen_is_in_no_group_and_factors_multiply() -> None:
    config = replace(
        tiny_config(),
        frozen=("image_tower",),
        learning_rate_factors={"text_tower": 0.5, "text_tower.embeddings": 0.1},
    )
    towers = build_towers(config, vocabulary_size=50)
    optimizer = build_optimizer(towers, config)
    optimizer.set_factor(0.5)

    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    rates = {name: rate_of.get(id(p)) for name, p in towers.named_parameters()}
    # A peak of 2e-3, halved by the schedule; the temperature has 1e-2.
    assert rates["align.text_projection.weight"] == pytest.approx(1e-3)
    assert rates["align.text_model.encoder.layer.0.output.dense.bias"] == pytest.approx(5e-4)
    assert rates["align.text_model.embeddings.word_embeddings.weight"] == pytest.approx(5e-5)
    assert rates["temperature"] == pytest.approx(5e-3)
    assert rates["align.vision_model.embeddings.convolution.weight"] is None
    assert optimizer.learning_rate == pytest.approx(1e-3)


def images() -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_what_is_frozen_whole_stays_in_evaluation_mode_and_keeps_its_statistics() -> None:
    frozen = ("image_tower.encoder.blocks.0", "text_tower.encoder")
    towers = build_towers(replace(tiny_config(), frozen=frozen), vocabulary_size=50).train()
    image: Any = towers.align.vision_model
    text: Any = towers.align.text_model
    own = image.encoder.blocks[0].depthwise_conv.depthwise_norm
    other = image.encoder.blocks[1].depthwise_conv.depthwise_norm
    ids = torch.full((4, 5), 7)

    def passes() -> Iterator[list[torch.Tensor]]:
        image(pixel_values=images())
        yield [pass_statistics(batch_norms(towers))]

    towers(images(), ids, torch.ones_like(ids))
    move_running_statistics(towers, towers.statistics_of_passes, share=1.0)
    moved = other.running_mean.clone()
    reestimate_batch_norm(towers, passes(), num_passes=1)

    assert own.running_mean.count_nonzero() == 0
    assert own.num_batches_tracked == 0
    assert moved.count_nonzero() > 0
    assert not torch.equal(other.running_mean, moved)
    dropouts = [m for m in text.encoder.modules() if isinstance(m, nn.Dropout)]
    assert dropouts
    assert not any(module.training for module in (own, *dropouts))
    assert all(module.training for module in (towers, other, text.embeddings.dropout))


def test_a_frozen_image_tower_has_no_statistics_to_move_or_estimate() -> None:
    config = replace(tiny_config(), frozen=("image_tower",))
    towers = build_towers(config, vocabulary_size=50).train()
    before = {name: value.clone() for name, value in towers.state_dict().items()}
    ids = torch.full((4, 5), 7)

    def passes() -> Iterator[list[torch.Tensor]]:
        raise AssertionError("nothing is to be run")
        yield []

    towers(images(), ids, torch.ones_like(ids))
    assert towers.statistics_of_passes == []
    move_running_statistics(towers, towers.statistics_of_passes, share=1.0)
    reestimate_batch_norm(towers, passes(), num_passes=1)

    assert all(torch.equal(value, before[name]) for name, value in towers.state_dict().items())


def test_the_average_follows_fast_at_the_start() -> None:
    # 1 - 2/11 after the first update; 1 - 0.9 from update 81 on, where 82/91 passes 0.9.
    steps = torch.tensor([1.0, 80.0, 81.0])

    assert ema_share(steps, decay=0.9).tolist() == pytest.approx([9 / 11, 9 / 90, 0.1], rel=1e-12)
