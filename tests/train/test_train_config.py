import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from openalign.errors import ConfigError
from openalign.settings.fields import identity
from openalign.settings.yaml_reader import read_plain
from openalign.train.config import (
    Augmentation,
    Duration,
    ImageTower,
    ModelConfig,
    TextTower,
    TrainConfig,
    ZeroConfig,
)
from openalign.train.presets import GhostBatchNorm
from openalign.train.updates import AdamW, Lamb, Schedule, Temperature


def test_the_defaults_are_the_papers() -> None:
    """ALIGN §5: L2 and BERT-Large, LAMB 1e-3 with decay 1e-5, 16384 pairs, 1.2 M steps."""
    config = TrainConfig()

    assert config.model.image_tower.shape == (4.3, 5.3)
    assert config.model.text_tower.shape == (24, 1024, 16)
    assert (config.model.resize_px, config.model.crop_px, config.model.max_tokens) == (346, 289, 64)
    assert config.model.vocabulary_size == 100_000
    assert isinstance(config.optimizer, Lamb)
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay) == (1e-3, 1e-5)
    assert config.global_batch_size == 16_384
    assert config.duration == Duration(steps=1_200_000)
    assert config.schedule == Schedule(warmup_steps=10_000, decay="linear")
    assert (config.label_smoothing, config.temperature.initial) == (0.1, 1.0)
    assert config.same_image_negatives == "keep"


def test_a_size_that_is_set_stands_before_the_presets() -> None:
    assert ImageTower(preset="b3", width=0.35).shape == (0.35, 1.4)
    assert TextTower(preset="mini", num_layers=2).shape == (2, 256, 4)


def test_how_the_work_is_done_is_no_part_of_the_result() -> None:
    slow = TrainConfig(num_processes=1, decode_threads=1, image_cache_mb=0)
    fast = TrainConfig(num_processes=2, decode_threads=8, checkpoint_every_steps=5)

    assert identity(slow) == identity(fast)
    assert identity(slow) != identity(TrainConfig(seed=1))
    assert identity(slow) != identity(TrainConfig(loss="tiled"))
    assert identity(slow) != identity(TrainConfig(same_image_negatives="mask"))


@pytest.mark.parametrize(
    ("global_batch_size", "block_size", "expected"),
    [(16_384, None, (256, 64)), (256, None, (256, 1)), (128, None, (128, 1)), (128, 16, (16, 8))],
)
def test_a_batch_is_cut_into_blocks(
    global_batch_size: int, block_size: int | None, expected: tuple[int, int]
) -> None:
    config = TrainConfig(global_batch_size=global_batch_size, block_size=block_size)

    assert (config.pairs_per_block, config.num_blocks) == expected


def test_what_goes_through_the_towers_together_is_part_of_the_result() -> None:
    """Compiled code draws other numbers; recomputing layers changes nothing."""
    plain = identity(TrainConfig())
    recomputed = ModelConfig(image_tower=ImageTower(gradient_checkpointing=True))

    assert plain != identity(TrainConfig(block_size=16))
    assert plain != identity(TrainConfig(compile=True))
    assert plain != identity(ghost(16))
    assert plain == identity(TrainConfig(model=recomputed))


def test_fp16_is_refused_with_its_reason() -> None:
    with pytest.raises(ConfigError, match="`precision` cannot be fp16") as refused:
        read_plain(TrainConfig, {"precision": "fp16"}, "here")

    assert refused.value.hint is not None
    assert "underflow" in refused.value.hint
    assert read_plain(TrainConfig, {"precision": "bf16"}, "here").precision == "bf16"


def ghost(group_size: int) -> TrainConfig:
    norm = GhostBatchNorm(group_size=group_size)
    return TrainConfig(model=ModelConfig(image_tower=ImageTower(batch_norm=norm)))


def test_a_config_travels() -> None:
    assert pickle.loads(pickle.dumps(TrainConfig())) == TrainConfig()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(Duration, "one must be set", id="no duration"),
        pytest.param(lambda: Duration(steps=1, epochs=1), "exclude each other", id="two"),
        pytest.param(lambda: Duration(steps=0), "steps must be above 0, got 0", id="no steps"),
        pytest.param(
            lambda: ModelConfig(resize_px=288), "at least crop_px, got 288 and 289", id="crop"
        ),
        pytest.param(lambda: ModelConfig(max_tokens=2), "at least 3, got 2", id="tokens"),
        pytest.param(
            lambda: TextTower(hidden_size=100, num_heads=3), "multiple of num_heads", id="heads"
        ),
        pytest.param(
            lambda: ImageTower(batch_norm_momentum=0.0), "above 0 and at most 1", id="momentum"
        ),
        pytest.param(lambda: ImageTower(stochastic_depth=1.0), "below 1, got 1.0", id="depth"),
        pytest.param(lambda: AdamW(learning_rate=0.0), "above 0, got 0.0", id="rate"),
        pytest.param(lambda: Lamb(beta2=1.0), "beta2 must be at least 0 and below 1", id="beta"),
        pytest.param(lambda: Temperature(initial=0.001), "at least at_least", id="temperature"),
        pytest.param(lambda: Schedule(warmup_steps=-1), "must not be negative", id="warm-up"),
        pytest.param(
            lambda: AdamW(learning_rate=math.nan),
            "learning_rate must be a finite number, got nan",
            id="rate nan",
        ),
        pytest.param(
            lambda: Duration(epochs=math.inf), "epochs must be a finite number, got inf", id="ever"
        ),
        pytest.param(
            lambda: TrainConfig(gradient_clipping=math.nan),
            "gradient_clipping must be a finite number, got nan",
            id="clipping nan",
        ),
        pytest.param(
            lambda: TrainConfig(label_smoothing=math.nan),
            "label_smoothing must be a finite number, got nan",
            id="smoothing nan",
        ),
        pytest.param(
            lambda: Temperature(initial=math.nan),
            "initial must be a finite number, got nan",
            id="temperature nan",
        ),
        pytest.param(lambda: Augmentation(scale=1.0), "scale must be below 1", id="scale"),
        pytest.param(lambda: ZeroConfig(bucket_size=0), "bucket_size must be above 0", id="zero"),
        pytest.param(lambda: TrainConfig(global_batch_size=1), "needs a negative", id="batch"),
        pytest.param(
            lambda: TrainConfig(block_size=1), "block_size must be at least 2, got 1", id="block"
        ),
        pytest.param(
            lambda: TrainConfig(global_batch_size=300),
            "global_batch_size must be a multiple of block_size, got 300 and 256",
            id="blocks",
        ),
        pytest.param(lambda: ghost(48), "got 256 and 48: groups lie inside a block", id="groups"),
        pytest.param(
            lambda: GhostBatchNorm(group_size=1), "group_size must be at least 2", id="group"
        ),
        pytest.param(
            lambda: TrainConfig(compile=True, zero=ZeroConfig(stage=3)),
            "compile must be false where zero.stage is 3",
            id="compile",
        ),
        pytest.param(
            lambda: TrainConfig(duration=Duration(steps=10_000)),
            "below duration.steps, got 10000 and 10000",
            id="a warm-up as long as the run",
        ),
        pytest.param(lambda: TrainConfig(label_smoothing=1.0), "below 1, got 1.0", id="smoothing"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: ModelConfig(resize_px=289, max_tokens=3), id="model"),
        pytest.param(lambda: ImageTower(batch_norm_momentum=1.0, stochastic_depth=0.0), id="tower"),
        pytest.param(lambda: Temperature(initial=0.01), id="temperature"),
        pytest.param(lambda: TrainConfig(duration=Duration(steps=10_001)), id="warm-up"),
        pytest.param(lambda: TrainConfig(global_batch_size=2), id="batch"),
        pytest.param(lambda: TrainConfig(block_size=2), id="block"),
        pytest.param(lambda: ghost(256), id="groups"),
        pytest.param(lambda: TrainConfig(compile=True), id="compile"),
    ],
)
def test_a_setting_on_the_bound_is_taken(make: Callable[[], Any]) -> None:
    assert make()
