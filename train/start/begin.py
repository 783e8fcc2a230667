"""Begins a run from what `train.init_from` names: settings that agree with it, and its weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from openalign.errors import StageError
from openalign.files import storage
from openalign.train.config import TrainConfig
from openalign.train.model.pretrained import Pretrained
from openalign.train.model.towers import build_towers
from openalign.train.optim.lamb import build_optimizer
from openalign.train.start import model_reading, towers_reading
from openalign.train.start.beginning import ReadOrigin
from openalign.train.start.origin import (
    CHECKPOINT,
    LastCheckpoint,
    last_checkpoint,
    model_folder,
)
from openalign.train.starting_points import FromTowers, StartingPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a run begins from, and its settings."""

    config: TrainConfig
    """The sizes of what it begins from are laid in."""

    pretrained: Pretrained | None = None
    """None where all weights are drawn."""

    taken: Sequence[str] = ()
    """Settings that were unset and have its values now, a line each."""

    checkpoint: LastCheckpoint | None = None
    """What a run goes on from that takes the whole state of another."""


def check(config: TrainConfig) -> Beginning:
    """Return what `begin` returns without the weights, to find fault early.

    Raises:
        InputError: what `train.init_from` names cannot be used.
        ConfigError: a setting contradicts it, or names parameters that the model does not have.
    """
    found = Beginning(config=config)
    if config.init_from is not None:
        read = _read(config.init_from, config, with_weights=False)
        found = _beginning(config.init_from, config, read)
    if config.frozen or config.learning_rate_factors:
        _check_patterns(replace(found.config, compile=False), found.pretrained)
    return found


def _check_patterns(config: TrainConfig, pretrained: Pretrained | None) -> None:
    """Build the towers without a number in them: names do not depend on the vocabulary's size."""
    size = config.model.vocabulary_size
    with torch.device("meta"):
        towers = build_towers(config, vocabulary_size=size, pretrained=pretrained)
    build_optimizer(towers, config)


def begin(config: TrainConfig, *, content: str) -> Beginning:
    """Read what a run begins from; `content` is the hash of it that is part of the run's identity.

    Raises:
        InputError: what `train.init_from` names cannot be used.
        ConfigError: a setting contradicts it.
        StageError: it was changed since the hash was taken.
    """
    if config.init_from is None:
        return Beginning(config=config)
    read = _read(config.init_from, config, with_weights=True)
    if read.content != content:
        raise StageError(
            "what `train.init_from` names was changed since the run was started",
            hint="put back what was there, or train again: the run begins from what is there now",
        )
    return _beginning(config.init_from, config, read)


def _read(start: StartingPoint, config: TrainConfig, *, with_weights: bool) -> ReadOrigin:
    if isinstance(start, FromTowers):
        return towers_reading.read(start, config.model, with_weights=with_weights)
    folder, checkpoint = model_folder(start), last_checkpoint(start)
    beside = {} if checkpoint is None else {CHECKPOINT: storage.sha256_of(checkpoint.manifest)}
    return model_reading.read(folder, config.model, with_weights=with_weights, beside=beside)


def _beginning(start: StartingPoint, config: TrainConfig, read: ReadOrigin) -> Beginning:
    return Beginning(
        config=replace(config, model=read.model),
        pretrained=read.pretrained,
        taken=read.taken,
        checkpoint=last_checkpoint(start),
    )
