"""A run's messages about stages: why one runs again, what it kept, why it kept nothing."""

import time
from collections.abc import Mapping

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.facts import counts_by
from openalign.files.manifest import Manifest, StageInputs, StageResult
from openalign.files.names import EXPORT_FOLDER
from openalign.files.states import FetchState, PageState
from openalign.ingest.web.config import WebConfig
from openalign.pages import funnel
from openalign.run import advice
from openalign.run.contract import Run, Stage, StageSetup
from openalign.run.stages import STAGES, stage_names
from openalign.run.times import note_time
from openalign.settings.differences import settings_that_differ
from openalign.telemetry import say

_MOST_REASONS = 4


def say_up_to_date(stage: Stage, manifest: Manifest) -> None:
    """Say that a stage is complete; one that is complete and empty ends in an error instead."""
    if not manifest.num_outputs:
        return
    untried = manifest.states.get(FetchState.NOT_TRIED, 0)
    goes_on = f"; {untried:,} rows are not tried yet, and --retry goes on with them"
    say(f"{stage.name:9} up to date{goes_on if untried else ''}")


def changes(manifest: Manifest, inputs: StageInputs) -> str:
    """Return, in words, what differs between a complete result and one that would be made now."""
    changed = [
        *settings_that_differ(manifest.settings["settings"], inputs.settings["settings"]),
        *(
            f"the result of `{name}`" if name in STAGES else _content_of(name)
            for name, content in inputs.contents.items()
            if manifest.inputs.get(name) != content
        ),
    ]
    return "; ".join(changed) or "its file format"


def _content_of(name: str) -> str:
    """Return the name of an input in words; of a benchmark, what tasks need of it counts."""
    is_benchmark = name.startswith("benchmarks.")
    return f"the content of `{name}`" + (", or what is needed of it" if is_benchmark else "")


def say_left_out(run: Run) -> None:
    """Say which stages the pipeline goes without, and why; a line a reason."""
    names: dict[str, list[str]] = {}
    for stage in STAGES.values():
        if stage.is_verb and (why := stage.left_out(run.config)):
            names.setdefault(why, []).append(stage.name)
    for why, left_out in names.items():
        say(f"{', '.join(left_out):9} left out: {why}")


def say_behind_proxy(stage: Stage, web: WebConfig | None) -> None:
    """Say what cannot be judged of hosts that a proxy reaches."""
    if web is not None and web.proxy:
        say(
            f"{stage.name:9} asks through a proxy: a host is refused as private only where its "
            "address is written so, and a name without an address looks like an error of the proxy"
        )


def say_as_it_is(run: Run, name: str, changed: str) -> None:
    """Say that a stage reads a result that was made with other settings than the pipeline's."""
    say(
        f"{name:9} reads results as they are: {changed}; name the same --set if one was given "
        f"then, or openalign run {run.config.name} makes it again"
    )


def say_why(stage: Stage, why: str) -> None:
    """Say why a complete result is made again."""
    say(f"{stage.name:9} runs again, because this changed: {why}")


def counts_so_far(counts: Mapping[str, int], seconds: float) -> str:
    """Return counts with their rates: `1,204 pages (40 a second), 5,433 pairs (181 a second)`."""
    return ", ".join(
        f"{count:,} {what} ({count / max(seconds, 1.0):,.0f} a second)"
        for what, count in counts.items()
        if count
    )


def say_damaged_files_again(stage: Stage, manifest: Manifest) -> None:
    """Say that a complete result is made again for the files that were damaged."""
    count = num_files(len(manifest.damaged_files))
    say(f"{stage.name:9} runs again: {count} of its input could not be read to the end")


def num_files(number: int) -> str:
    """Return a number of files in words."""
    return "1 file" if number == 1 else f"{number:,} files"


def note_end(
    run: Run, stage: Stage, manifest: Manifest, seconds: float, *, round_number: int | None = None
) -> None:
    """Say what a stage kept and why it dropped the rest, and note how long it took.

    `round_number` is that of a round which added to a complete stage.
    """
    name = stage.name
    took = f"{seconds:.0f} s"
    if not stage.states and stage.jobs is None:  # it has no rows
        say(f"{name:9} complete in {took}")
        if any(file.name.startswith(f"{EXPORT_FOLDER}/") for file in manifest.files):
            say(f"{name:9} the model is {storage.join(run.folder(name).url, EXPORT_FOLDER)}")
    else:
        if stage.jobs is not None and seconds >= 1:
            took += f", {manifest.num_inputs / seconds:,.0f} a second"
        kept = f"{manifest.num_outputs:,} of {manifest.num_inputs:,} in {took}"
        say(f"{name:9} {kept}{_reasons(stage, manifest)}")
        for surprise in advice.surprises(name, manifest.states, stage.states[1:]):
            say(f"{'':9} {surprise}")
    rows = (manifest.num_inputs, manifest.num_outputs)
    note_time(run, name, now=time.time(), seconds=seconds, rows=rows, round_number=round_number)


def _reasons(stage: Stage, manifest: Manifest) -> str:
    """Return what most of the dropped rows were dropped for, as the end of a line."""
    dropped = {state: manifest.states.get(state, 0) for state in stage.states[1:]}
    largest = sorted(dropped, key=lambda state: -dropped[state])[:_MOST_REASONS]
    rest = sum(count for state, count in dropped.items() if state not in largest)
    said = counts_by({**{state: dropped[state] for state in largest}, "other": rest})
    return f": {said}" if said else ""


def complete_manifests(run: Run) -> dict[str, Manifest]:
    """Return the manifests of the stages that are complete, in order."""
    found = {name: run.folder(name).read() for name in stage_names(run.config)}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def nothing_left(run: Run, name: str) -> StageError:
    """Return the error of a stage that left nothing, with the funnel of all that is complete."""
    stages = [STAGES[stage].facts for stage in stage_names(run.config)]
    built = funnel.build(complete_manifests(run), stages)
    table = f"{funnel.render(built)}\n{funnel.legend(built)}".rstrip()
    return StageError(
        f"{name} left nothing for the next stage\n\n{table}",
        hint="loosen the rule that dropped the most, or give the run more to start from",
    )


def nothing_found(stage: Stage, setup: StageSetup, result: StageResult) -> StageError:
    """Return the error of a stage that brought nothing in from outside."""
    ended = {**result.facts.other_counts, **result.states}
    refused = result.states.get(FetchState.PRIVATE_ADDRESS, 0) == result.num_inputs > 0
    if setup.web is None and stage.rows_from:
        most = max(ended, key=lambda state: ended[state], default="")
        setting = advice.SETTINGS.get(stage.name, {}).get(most)
        hint = "see that the source still holds its images"
        if setting is not None:
            hint = f"`{setting}` decides about {most}: openalign explain {setting}"
    elif setup.web is None:
        hint = (
            "see that the source holds images with texts; of a table, that the settings or the "
            "`layout` name the right columns"
        )
    elif refused:
        hint = (
            "private addresses are refused unless `web.allowed_networks` lets them in: for this "
            'machine\'s own, write `web: {allowed_networks: ["127.0.0.0/8"]}` into the pipeline, '
            "or add --set web.allowed_networks=127.0.0.0/8 to each command"
        )
    elif set(result.facts.other_counts) == {PageState.OUT_OF_SCOPE}:
        hint = (
            "the seeds lead to another host: name that one in `harvest.source.seeds`, or set "
            "`harvest.source.scope` to `domain`"
        )
    elif set(result.facts.other_counts) == {PageState.ROBOTS_DENIED}:
        hint = "robots.txt or the pages themselves withhold the seeds"
    elif set(result.facts.other_counts) == {PageState.UNREACHABLE}:
        hint = (
            "see that the network and the hosts answer; private addresses are refused unless "
            "`web.allowed_networks` lets them in"
        )
    else:
        hint = "see that the network and the hosts answer; the same command tries again"
    found = counts_by(ended) or "nothing was there"
    damaged = "".join(f"\n{file.name}: {file.reason}" for file in result.damaged_files)
    return StageError(f"{stage.name} found nothing to hand on: {found}{damaged}", hint=hint)
