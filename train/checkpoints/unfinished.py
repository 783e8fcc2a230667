"""A word about runs that other settings or inputs had begun, which are not gone on from.

They stay until the stage is sealed: whoever changed a setting by mistake changes it back, and goes
on there.
"""

from contextlib import suppress
from typing import Any, cast

import msgspec

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageFolder, StageInputs
from openalign.files.names import CHECKPOINTS_FOLDER, METRICS_FILE
from openalign.settings.differences import settings_that_differ
from openalign.telemetry import say
from openalign.train.checkpoint_names import name_of, steps_in
from openalign.train.checkpoints.damage import DamagedError
from openalign.train.checkpoints.manifest import CheckpointManifest, read_manifest


class BegunTraining(msgspec.Struct, frozen=True, kw_only=True):
    """A training that was begun and not completed."""

    folder: str
    step: int
    """Of its newest checkpoint."""

    num_steps: int | None
    """Of the whole training; None where its settings name epochs."""


def begun_trainings(folder: StageFolder) -> list[BegunTraining]:
    """Return the trainings below a run's root that have checkpoints, whatever their settings.

    Of a checkpoint only what it says about itself is read; whether it is whole is not seen.
    """
    found: list[BegunTraining] = []
    for url in folder.unsealed_urls():
        newest = _newest(storage.join(url, CHECKPOINTS_FOLDER))
        if newest is not None:
            num_steps: int | None = newest.settings.get("duration", {}).get("steps")
            step = newest.progress.step
            found.append(BegunTraining(folder=url, step=step, num_steps=num_steps))
    return found


def say_unfinished(folder: StageFolder, inputs: StageInputs, settings: Any) -> None:
    """Say of each such run how far it is, where it lies and what differs; rank 0 alone.

    `settings` are what the run is trained with: those that it takes from what it begins from are
    laid in, as in a checkpoint. Nothing is said where this run has checkpoints of its own.
    """
    own = folder.partial_url(inputs.fingerprint)
    if steps_in(storage.join(own, CHECKPOINTS_FOLDER)):
        return
    if storage.exists(storage.join(own, METRICS_FILE)):
        say(f"{folder.name:9} starts at step 0 again: {own} has no checkpoint")
    for url in folder.partial_urls():
        found = _newest(storage.join(url, CHECKPOINTS_FOLDER)) if url != own else None
        if found is not None:
            say(
                f"{folder.name:9} starts at step 0. {url} was at step {found.progress.step}, with "
                f"other settings or inputs ({_differences(found, inputs, settings)}); it stays "
                "until this run is complete, and those settings go on there"
            )


def _newest(checkpoints: str) -> CheckpointManifest | None:
    """Return the newest manifest; None where there is none, or none can be reached."""
    with suppress(StageError):  # of runs that nobody goes on from here
        for step in steps_in(checkpoints):
            with suppress(DamagedError):
                return read_manifest(storage.join(checkpoints, name_of(step)))
    return None


def _differences(found: CheckpointManifest, inputs: StageInputs, settings: Any) -> str:
    differing = settings_that_differ(_like(found.settings, settings), settings)
    differing += [
        f"its input `{name}`"
        for name, content in inputs.contents.items()
        if found.made_from.get(f"`{name}`") != content
    ]
    same = "its file format"
    if settings["init_from"] is not None:  # a value is written now and was taken, or otherwise
        same += ", or what is written of the model and what is taken from `train.init_from`"
    return "; ".join(differing) or same


def _like(old: Any, new: Any) -> Any:
    """Return the settings of `old` that `new` has too: those that make another model."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    return {name: _like(before.get(name), value) for name, value in after.items()}
