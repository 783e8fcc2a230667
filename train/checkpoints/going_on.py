"""Going on from the whole state of another run: `train.init_from` with `state: all`.

Weights, moments, averages, numbers of updates, steps and the place in the order of pairs are the
other run's. The schedule is the new run's own, read at the step that the other has come to.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from openalign.errors import ConfigError
from openalign.files.file_systems import nothing
from openalign.settings.fields import to_plain
from openalign.train.checkpoints import resume
from openalign.train.checkpoints.folder import CheckpointFolder
from openalign.train.checkpoints.manifest import PAIRS
from openalign.train.checkpoints.resume import FoundCheckpoint
from openalign.train.config import TrainConfig
from openalign.train.data.sample_hash import joined_hash
from openalign.train.ranks import RankGroup
from openalign.train.start.origin import LastCheckpoint

_OF_ORDER = ("global_batch_size", "seed")
"""Settings that, beside `validation.batches`, decide which pairs a global batch holds."""

_WEIGHTS_ALONE = "or begin with that run's weights alone: state: weights"


def checkpoint_of(
    other: LastCheckpoint,
    config: TrainConfig,
    ranks: RankGroup,
    *,
    scratch: Path,
    total_steps: int,
    moved: Callable[[], None] = nothing,
) -> FoundCheckpoint:
    """Return the last checkpoint of another run; all ranks must call this.

    `moved` is as in its folder.

    Raises:
        ConfigError: that run has taken all the steps, or has no average to go on with.
        StageError: the checkpoint is damaged, or cannot be reached.
    """
    folder = CheckpointFolder(url=other.folder, scratch=scratch, moved=moved)
    found = resume.find(folder, other.step, ranks)
    if found.progress.step >= total_steps:
        raise ConfigError(
            f"`train.duration` is {total_steps} steps, and the run that `train.init_from` names "
            f"has taken {found.progress.step}, which count",
            hint=f"write a longer duration, {_WEIGHTS_ALONE}",
        )
    if config.ema is not None and found.manifest.settings.get("ema") is None:
        raise ConfigError(
            "`train.ema` is set, and the run that `train.init_from` names has averaged nothing",
            hint=f"leave `ema` out, {_WEIGHTS_ALONE}",
        )
    return found


def check_towers(found: FoundCheckpoint, towers: Any) -> None:
    """See that the other run has trained the tensors that this one trains.

    Raises:
        ConfigError: it has not.
    """
    differing = found.differing_tensors(towers)
    if differing:
        raise ConfigError(
            "the run that `train.init_from` names has not trained what this one trains: "
            f"{len(differing)} tensors differ, such as {differing[0]}",
            hint=f"let `train.frozen` be as it was there, {_WEIGHTS_ALONE}",
        )


def as_beginning(
    found: FoundCheckpoint, made_from: Mapping[str, str], config: TrainConfig, *, first_hash: str
) -> FoundCheckpoint:
    """Return a checkpoint whose sample hash goes on with this run's pairs, which begins with it.

    The hash stays where the pairs are those of the other run. Then it ends as that of an
    undisturbed run. In another order of pairs no batch is passed over: the numbers of those that
    were would name others.

    Raises:
        ConfigError: that run has trained on pairs that are held out here.
    """
    sample_hash, rewinds = found.progress.sample_hash, found.progress.rewinds
    is_same = found.manifest.made_from.get(PAIRS) == made_from.get(PAIRS)
    if not is_same:
        sample_hash = joined_hash(sample_hash, first_hash)
    is_same_order = is_same and _order(found.manifest.settings) == _order(to_plain(config))
    if config.validation is not None and is_same and not is_same_order:
        raise ConfigError(
            "the run that `train.init_from` names has trained on pairs that `train.validation` "
            "would hold out: they are drawn anew where the seed, the batch or their number is",
            hint="let `train.seed`, `train.global_batch_size` and `train.validation.batches` be as "
            "they were there, or leave `train.validation` out",
        )
    if not is_same_order:
        rewinds = []
    progress = msgspec.structs.replace(
        found.progress,
        sample_hash=sample_hash,
        first_step=found.progress.step,
        rewinds=rewinds,
        best=None,  # its checkpoint is the other run's
        num_lines={},  # and so are its files
    )
    return replace(found, manifest=msgspec.structs.replace(found.manifest, progress=progress))


def _order(settings: Mapping[str, Any]) -> list[Any]:
    """Return what decides which pairs a global batch holds, of those of an index."""
    held_out = (settings.get("validation") or {}).get("batches")
    return [held_out, *(settings.get(name) for name in _OF_ORDER)]
