import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from openalign.settings.fields import identity
from openalign.train.config import (
    AdamW,
    Augmentation,
    Duration,
    ImageTower,
    Lamb,
    ModelConfig,
    Schedule,
    Temperature,
    TextTower,
    TrainConfig,
    ZeroConfig,
)


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
    ],
)
def test_a_setting_on_the_bound_is_taken(make: Callable[[], Any]) -> None:
    assert make()
