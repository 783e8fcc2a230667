"""Which settings make another model, and which only change how the work is done or looks.

A setting that is new must be put into one of the two: a change of the first kind starts a run over,
and a change of the second never throws work away.
"""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from openalign.settings.fields import identity
from openalign.train.config import TrainConfig

ANOTHER_MODEL = [
    "seed",
    "global_batch_size",
    "block_size",
    "loss",
    "same_image_negatives",
    "bad_images",
    "compile",
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
    "model.normalization",
    "model.split_symbols",
    "model.image_tower.preset",
    "model.image_tower.width",
    "model.image_tower.depth",
    "model.image_tower.stochastic_depth",
    "model.image_tower.batch_norm.kind",
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
]

OF_OTHER_KINDS = ["model.image_tower.batch_norm.group_size"]
"""Settings that make another model, of kinds that are no section's default."""

ANOTHER_LOOK = [
    "checkpoint_every_steps",
    "keep_checkpoints",
    "keep_every_steps",
    "log_every_steps",
    "nonfinite_steps_in_a_row",
    "num_processes",
    "stop.grace_seconds",
    "stop.time_limit_minutes",
    "stop.lead_seconds",
    "hang_minutes",
    "decode_threads",
    "image_cache_mb",
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
            paths_of(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
        )
    }


def test_every_setting_makes_another_model_or_another_look() -> None:
    assert set(ANOTHER_MODEL).isdisjoint(ANOTHER_LOOK)
    assert settings_of(TrainConfig) == {*ANOTHER_MODEL, *OF_OTHER_KINDS, *ANOTHER_LOOK}


def test_the_settings_that_make_another_model_are_the_fingerprints() -> None:
    assert paths_of(identity(TrainConfig())) == set(ANOTHER_MODEL)
