"""How far a run is: what is complete, at work, unfinished, or to be made again, and why.

Nothing is written, and no source is read: whether its content changed, only a run finds out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from openalign.amounts import bytes_in_words, time_in_words
from openalign.files import leases, storage
from openalign.files.locks import holder_of
from openalign.files.manifest import Manifest, StageFolder
from openalign.run import consent, times
from openalign.run.contract import Run
from openalign.run.stages import STAGES, stage_names, stages_read
from openalign.train.checkpoints.unfinished import BegunTraining, begun_trainings
from openalign.train.start.origin import STAGE as TRAIN


class StageStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stage is."""

    name: str
    state: str
    """`complete`, `stale`, `running`, `unfinished` or `not made`."""

    why: str = ""
    """Why it is stale or unfinished, or who makes it."""

    has_other_settings: bool = False
    """Whether it is stale because settings changed: its own, or those of what it reads."""

    num_outputs: int | None = None
    """Rows that it kept; None of a stage without rows, or without a result."""

    num_inputs: int | None = None
    num_bytes: int | None = None
    """Of all files of its result."""

    seconds: float | None = None
    """What it took; None where the log does not say."""

    folder: str
    begun: tuple[BegunTraining, ...] = ()
    """Trainings that were begun and not completed, of these settings or of others."""


def standing_of(run: Run) -> list[StageStanding]:
    """Return how far each stage of a run is, in order.

    Raises:
        InputError: the root cannot be reached.
        StageError: a manifest is damaged.
    """
    storage.check_reachable(run.config.root)
    reasons, took = consent.reasons_to_make(run), times.times_taken(run)
    found = [
        _of_stage(run, name, reason=reasons.get(name), took=took.get(name))
        for name in stage_names(run.config)
    ]
    return [
        msgspec.structs.replace(each, begun=tuple(begun_trainings(run.folder(TRAIN))))
        if each.name == TRAIN
        else each
        for each in found
    ]


def lines(name: str, root: str, standing: Sequence[StageStanding]) -> Iterator[str]:
    """Yield the standing as a table for a terminal, and what to type next.

    `name` is what the run was called by, and `root` where it lies.
    """
    rows = [("stage", "state", "kept", "of", "size", "took", "")]
    rows += [
        (
            each.name,
            each.state,
            "" if each.num_outputs is None else f"{each.num_outputs:,}",
            "" if each.num_inputs is None else f"{each.num_inputs:,}",
            "" if each.num_bytes is None else bytes_in_words(each.num_bytes),
            "" if each.seconds is None else time_in_words(each.seconds),
            each.why or each.folder,
        )
        for each in standing
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if 2 <= number <= 5 else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
    yield ""
    for each in standing:
        for begun in each.begun if each.state != "running" else ():
            of = "" if begun.num_steps is None else f" of {begun.num_steps:,}"
            yield (
                f"begun: step {begun.step:,}{of} in {begun.folder}; openalign {each.name} {name} "
                "with its settings goes on there"
            )
    if all(each.state == "complete" for each in standing):
        yield f"all is up to date; openalign show {name} shows what is there"
    else:
        if all(each.state == "not made" for each in standing) and not storage.exists(root):
            yield f"{not_there(root)}; a run that was made elsewhere is seen from its own folder"
        yield f"openalign run {name} makes what is not complete"
        if any(each.has_other_settings for each in standing):
            yield "what has other settings: name the same --set if one was given when it was made"


def not_there(root: str) -> str:
    """Say that the root of a run is not there; of a relative one, also where it was looked for."""
    is_relative = storage.is_local(root) and not Path(root).is_absolute()
    return f"there is no {root} in {Path.cwd()}" if is_relative else f"{root} is not there"


def _of_stage(
    run: Run, name: str, *, reason: consent.Reason | None, took: times.StageTime | None
) -> StageStanding:
    folder = run.folder(name)
    manifest = folder.read()
    if manifest is None:
        return _without_result(folder, name)
    why = str(reason) if reason else _made_from_another(run, name, manifest)
    has_rows = bool(STAGES[name].states)
    holder = _holder(folder)
    return StageStanding(
        name=name,
        state="running" if holder else _state(why),
        why=holder or why,
        has_other_settings=not holder and reason is not None and reason.is_other_settings,
        num_outputs=manifest.num_outputs if has_rows else None,
        num_inputs=manifest.num_inputs if has_rows else None,
        num_bytes=sum(file.num_bytes for file in manifest.files),
        seconds=None if took is None else took.seconds,
        folder=folder.url,
    )


def _holder(folder: StageFolder) -> str:
    """Return who is at work on a stage, on this machine or on one that shares the root."""
    if here := holder_of(folder.lock_url):
        return here
    elsewhere = leases.holder_of(folder.lease_url)
    return elsewhere and f"{elsewhere}, unless it was killed"


def _state(why: str) -> str:
    return "stale" if why else "complete"


def _without_result(folder: StageFolder, name: str) -> StageStanding:
    if holder := _holder(folder):
        return StageStanding(name=name, state="running", why=holder, folder=folder.url)
    begun = folder.partial_urls()
    if begun:
        why = f"{begun[0]} was begun; the same command goes on from there"
        return StageStanding(name=name, state="unfinished", why=why, folder=folder.url)
    return StageStanding(name=name, state="not made", folder=folder.url)


def _made_from_another(run: Run, name: str, manifest: Manifest) -> str:
    """Return which result that the stage reads is no longer the one that it was made from."""
    for earlier in stages_read(run.config, name):
        read = run.folder(earlier).read()
        if read is not None and manifest.inputs.get(earlier) != read.content_fingerprint():
            return f"it was made from another result of {earlier}"
    return ""
