"""Consent: a complete harvest, fetch or training is never replaced unasked."""

from collections.abc import Mapping
from dataclasses import dataclass

from openalign.errors import StageError
from openalign.files.manifest import Manifest
from openalign.run.contract import Run, Stage
from openalign.run.stages import STAGES, stage_names, stages_behind, stages_read
from openalign.run.times import times_taken
from openalign.settings.differences import settings_that_differ
from openalign.settings.fields import identity

_HINT = (
    "--yes makes it again; without it the result stays, and the stages after it can still be run "
    "by their names"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a stage may be made again."""

    words: str
    is_other_settings: bool = False
    """Whether a result has other settings than the pipeline now: its own, or one that it reads."""

    def __str__(self) -> str:
        return self.words


def reasons_to_make(run: Run) -> dict[str, Reason]:
    """Return why each stage that is not up to date may be made, by its name, in order.

    A stage may be made again when its settings changed, or when a stage that it reads is
    incomplete or may be made again itself. Contents of sources are not looked at here.
    """
    reasons: dict[str, Reason] = {}
    for name in stage_names(run.config):
        reason = _reason(run, STAGES[name], run.folder(name).read(), reasons)
        if reason is not None:
            reasons[name] = reason
    return reasons


def read_as_they_are(run: Run, name: str) -> list[str]:
    """Return how results that a stage goes back to differ from what the pipeline says now.

    The stage alone takes them as they are; a run would make them again.
    """
    behind = stages_behind(run.config, name)
    found: list[str] = []
    for earlier in stage_names(run.config):
        manifest = run.folder(earlier).read() if earlier in behind else None
        if manifest is not None and (changed := _other_settings(run, STAGES[earlier], manifest)):
            found.append(changed)
    return found


def require_for_run(run: Run, reasons: Mapping[str, Reason]) -> None:
    """See, before a run replaces anything, that no costly result may be made again unasked.

    `reasons` are those of `reasons_to_make`.

    Raises:
        StageError: a costly result may be made again, and the user has not agreed.
    """
    for name, reason in reasons.items():
        if STAGES[name].is_dear and not run.replace and run.folder(name).read() is not None:
            raise StageError(
                f"{run.folder(name).url} is complete, and may be made again: {reason}. Nothing was "
                f"changed yet. {_cost(run, name)}",
                hint=_HINT,
            )


def require(run: Run, stage: Stage, why: str) -> None:
    """See that a stage's complete result may be made again; `why` says what changed.

    Raises:
        StageError: the result is a costly one, and the user has not agreed.
    """
    if stage.is_dear and not run.replace:
        complete = [name for name in stage_names(run.config) if run.folder(name).read() is not None]
        made_of_it = [
            name
            for name in complete
            if STAGES[name].is_dear and stage.name in stages_behind(run.config, name)
        ]
        costs = " ".join(_cost(run, name) for name in (stage.name, *made_of_it))
        raise StageError(
            f"{run.folder(stage.name).url} is complete, and would be made again because this "
            f"changed: {why}. {costs}",
            hint=_HINT,
        )


def _reason(
    run: Run, stage: Stage, manifest: Manifest | None, reasons: Mapping[str, Reason]
) -> Reason | None:
    """Return why a stage may be made again, given the reasons of those before it."""
    if manifest is None:
        return Reason(f"{stage.name} is not complete")
    if own := _other_settings(run, stage, manifest):
        return Reason(own, is_other_settings=True)
    read = stages_read(run.config, stage.name)
    return next((reasons[name] for name in read if name in reasons), None)


def _other_settings(run: Run, stage: Stage, manifest: Manifest) -> str:
    """Return which settings a result was made with that are others now; empty where none is."""
    made_with = manifest.settings.get("settings")
    if made_with is None:  # made by other means than this stage
        return ""
    own = settings_that_differ(made_with, identity(stage.settings(run.config)))
    return f"{stage.name} has other settings ({'; '.join(own)})" if own else ""


def _cost(run: Run, name: str) -> str:
    """Say what making a complete stage again costs: rows, bytes, and the time that it took."""
    manifest = run.folder(name).require()
    num_bytes = sum(f.num_bytes for f in manifest.files)
    cost = f"{name} has {manifest.num_outputs:,} of {manifest.num_inputs:,} rows in "
    cost += f"{num_bytes / 1e6:,.1f} MB"
    took = times_taken(run).get(name)
    return f"{cost}." if took is None else f"{cost}, which took {took.seconds:.0f} s."
