"""What all stages of a run will need, checked before the first of them starts.

A stage checks for itself when it starts, too: hours later, where it is a late one.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from openalign.errors import ConfigError, StageError
from openalign.evaluate.plan import plan
from openalign.files import storage
from openalign.files.manifest import Manifest
from openalign.run import inputs, readiness
from openalign.run.contract import Run
from openalign.run.smaller_batch import fewer_pairs_hint
from openalign.run.stage_work import training
from openalign.run.stages import STAGES
from openalign.telemetry import say
from openalign.train.optim.schedule import pairs_needed

_LEAST_FREE_BYTES = 500_000_000
"""Less than this is not enough for the smallest of runs."""

_GATHER = ("harvest", "filter", "fetch", "select")
"""Stages that hand on rows, of which each pair is one: none has more pairs than rows."""


def check(run: Run, names: Sequence[str]) -> None:
    """Check what the stages that will be made need: libraries, a contact, data sets, room.

    Raises:
        ConfigError: a stage asks the web and names no contact, ranks cannot share the batch, or
            settings contradict what training begins from.
        InputError: a benchmark or a model is not there, or no certificates where they are named.
        MissingExtraError: libraries are not installed; it names those of all stages.
        StageError: the root cannot be written, or its disk is full.
    """
    stages = [STAGES[name] for name in names]
    if not stages:
        return
    for stage in stages:
        readiness.require_contact(run, stage)
    readiness.require_libraries(*stages)
    for stage in stages:
        readiness.require_certificates(run, stage)
    _check_data_sets(run, names)
    _check_start(run, names)
    if "train" in names:
        _check_known_pairs(run, names)
    _check_room(run.config.root)
    storage.check_writable(run.config.root)  # last: it makes the folder


def check_num_pairs(run: Run, manifest: Manifest | None, *, behind: str) -> None:
    """Check that training can start with what a stage left, where it is still to come.

    Raises:
        ConfigError: the batch or the warm-up is too large for so few pairs.
    """
    if manifest is None or behind not in _GATHER:
        return
    needed, left = pairs_needed(run.config.train), manifest.num_outputs
    if left < needed:
        raise ConfigError(
            f"training needs at least {needed:,} pairs, and {behind} left {left:,} rows, of which "
            f"no more pairs can come: `train.global_batch_size` is "
            f"{run.config.train.global_batch_size:,}, `train.schedule.warmup_steps` "
            f"{run.config.train.schedule.warmup_steps:,}{_held_out(run)}",
            hint=fewer_pairs_hint(run.config.train, left),
        )


def check_selected(run: Run, name: str) -> None:
    """Check that the pairs that are there are enough, where `name` is the stage that trains.

    Raises:
        ConfigError: the batch or the warm-up is too large for so few pairs.
    """
    if name == "train":
        check_num_pairs(run, run.folder("select").read(), behind="select")


def _check_known_pairs(run: Run, names: Sequence[str]) -> None:
    """Compare with the last stage that is complete, or say what will be needed."""
    complete = [name for name in _GATHER if name not in names]
    if complete:
        check_num_pairs(run, run.folder(complete[-1]).read(), behind=complete[-1])
        return
    say(f"{'train':9} will need at least {pairs_needed(run.config.train):,} pairs of what is found")


def _held_out(run: Run) -> str:
    rule = run.config.train.validation
    return "" if rule is None else f", `train.validation.batches` {rule.batches:,}"


def _check_data_sets(run: Run, names: Sequence[str]) -> None:
    if "site" in names:
        return  # it makes them
    if "select" in names:
        inputs.check_held_out(run.config)
    if "evaluate" in names:
        if run.config.evaluate.model:
            inputs.check_model(run.config.evaluate)
        plan(run.config.evaluate, run.config.benchmarks)


def _check_start(run: Run, names: Sequence[str]) -> None:
    if "train" in names:
        inputs.of_train(run.config)
        training.check_start(run.config.train)
        if run.config.train.num_processes > 1 and not training.is_rank():
            training.check_ranks(run.config.train)


def _check_room(root: str) -> None:
    if not storage.is_local(root):
        return
    folder = storage.local_path(root)
    free = shutil.disk_usage(_nearest(folder)).free
    if free < _LEAST_FREE_BYTES:
        raise StageError(
            f"{root} has room for {free / 1e6:,.0f} MB, and a run takes "
            f"{_LEAST_FREE_BYTES / 1e6:,.0f} at least",
            hint="make room, or choose another place with `--set root=PATH`",
        )


def _nearest(folder: Path) -> Path:
    """Return the folder, or the innermost around it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())
