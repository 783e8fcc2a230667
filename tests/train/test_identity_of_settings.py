"""Which settings make another model, and which only change how the work is done or looks.

A setting that is new must be put into one of the two: a change of the first kind starts a run over,
and a change of the second never throws work away.
"""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from openalign.settings.fields import identity
from openalign.train.config import ModelConfig, TrainConfig, Validation
from openalign.train.presets import GhostBatchNorm, ImageTower
from openalign.train.starting_points import FromModel, FromRun, FromTowers, ImageWeights
from openalign.train.updates import Ema, RewindSpikes

ANOTHER_MODEL = [
    "seed",
    "global_batch_size",
    "duration.steps",
    "duration.epochs",
    "label_smoothing",
    "gradient_clipping",
    "precision",
    "batch_norm_batches",
    "model.resize_px",
    "model.crop_px",
    "model.max_tokens",
    "model.vocabulary_size",
    "model.lowercase",
    "model.image_tower.preset",
    "model.image_tower.width",
    "model.image_tower.depth",
    "model.image_tower.stochastic_depth",
    "model.image_tower.batch_norm_momentum",
    "model.text_tower.preset",
    "model.text_tower.num_layers",
    "model.text_tower.hidden_size",
    "model.text_tower.num_heads",
    "model.text_tower.dropout",
    "optimizer.kind",
    "optimizer.learning_rate",
    "optimizer.weight_decay",
    "optimizer.beta1",
    "optimizer.beta2",
    "optimizer.epsilon",
    "optimizer.decayed",
    "optimizer.adapted",
    "optimizer.trust_ratio_at_most",
    "temperature.initial",
    "temperature.learning_rate",
    "temperature.relative",
    "temperature.at_least",
    "schedule.warmup_steps",
    "schedule.decay",
    "augmentation.random_crop",
    "augmentation.horizontal_flip",
    "augmentation.rotation_degrees",
    "augmentation.scale",
    "augmentation.stretch",
    "augmentation.shift",
    "bad_images",
    "block_size",
    "compile",
    "export",
    "frozen",
    "loss",
    "same_image_negatives",
    "model.normalization",
    "model.split_symbols",
    "model.image_tower.batch_norm.kind",
    "ema.decay",
    "validation.batches",
    "validation.every_steps",
    "init_from.kind",
    "init_from.state",
    "init_from.image.architecture",
    "init_from.image.mean",
    "init_from.image.std",
    "learning_rate_factors",
    "loss_spikes.kind",
    "loss_spikes.window_steps",
    "loss_spikes.deviations",
    "loss_spikes.undone_steps",
    "model.image_tower.batch_norm.group_size",
]

PLACES = ["init_from.path", "init_from.root", "init_from.text", "init_from.image.path"]
"""Where something lies does not count: the hash of its content is among the inputs of the run."""

VARIANTS = [
    TrainConfig(
        ema=Ema(),
        validation=Validation(),
        learning_rate_factors={"image_tower": 0.1},
        model=ModelConfig(image_tower=ImageTower(batch_norm=GhostBatchNorm())),
        init_from=FromTowers(
            image=ImageWeights(path="b0.pt", architecture="tf_efficientnet_b0"), text="bert"
        ),
    ),
    TrainConfig(init_from=FromModel(path="align"), loss_spikes=RewindSpikes()),
    TrainConfig(init_from=FromRun(root="runs/align")),
]
"""Together they have every setting that the default lacks."""

ANOTHER_LOOK = [
    "checkpoint_every_steps",
    "keep_checkpoints",
    "keep_every_steps",
    "log_every_steps",
    "nonfinite_steps_in_a_row",
    "loss_spikes.at_most",
    "stop.grace_seconds",
    "stop.lead_seconds",
    "stop.time_limit_minutes",
    "hang_minutes",
    "wandb.project",
    "wandb.entity",
    "wandb.name",
    "num_processes",
    "decode_threads",
    "read_timeout_seconds",
    "image_cache_mb",
    "shard_cache_mb",
    "zero.stage",
    "zero.sub_group_size",
    "zero.persistence_threshold",
    "zero.bucket_size",
    "model.image_tower.gradient_checkpointing",
    "model.text_tower.gradient_checkpointing",
]
"""Of these, ranks, ZeRO and recomputation round sums in another order; a run may change them on its
way (docs/resuming.md)."""


def settings_of(kind: type[Any], prefix: str = "") -> set[str]:
    """Return the path of every setting of a settings class, in all variants."""
    found: set[str] = set()
    hints = get_type_hints(kind)
    for spec in fields(kind):
        hint = hints[spec.name]
        sections = [one for one in (*get_args(hint), hint) if is_dataclass(one)]
        for section in sections:
            assert isinstance(section, type)
            found |= settings_of(section, f"{prefix}{spec.name}.")
        if not sections:
            found.add(f"{prefix}{spec.name}")
    return found


def paths_of(plain: dict[str, Any], prefix: str = "") -> set[str]:
    return {
        path
        for name, value in plain.items()
        for path in (
            paths_of(value, f"{prefix}{name}.")
            if isinstance(value, dict) and name != "learning_rate_factors"
            else {prefix + name}
        )
    }


def test_every_setting_makes_another_model_or_another_look() -> None:
    listed = [*ANOTHER_MODEL, *ANOTHER_LOOK, *PLACES]

    assert len(listed) == len(set(listed))
    assert settings_of(TrainConfig) == set(listed)


def test_the_settings_that_make_another_model_are_the_fingerprints() -> None:
    found = set().union(*(paths_of(identity(config)) for config in VARIANTS))

    assert found - {"ema", "init_from", "loss_spikes", "validation"} == set(
        ANOTHER_MODEL
    )  # null in the other variants
