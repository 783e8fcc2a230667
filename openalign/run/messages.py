"""A run's messages about stages: why one runs again, what it kept, why it kept nothing."""

import time
from collections.abc import Mapping

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.facts import counts_by
from openalign.files.manifest import Manifest, StageInputs, StageResult, settings_that_differ
from openalign.files.names import RUN_LOG
from openalign.pages import funnel
from openalign.run.contract import Run, Stage, StageSetup
from openalign.run.stages import STAGES, stage_names
from openalign.telemetry import JsonLines, read_json_lines, say


def say_up_to_date(stage: Stage, manifest: Manifest) -> None:
    """Say that a stage is complete; one that is complete and empty ends in an error instead."""
    if manifest.num_outputs:
        say(f"{stage.name:9} up to date")


def say_why(run: Run, stage: Stage, manifest: Manifest, inputs: StageInputs) -> None:
    """Say why a complete result is made again, or refuse where that wants the user's consent.

    Raises:
        StageError: the result is costly to make again, and the user has not agreed.
    """
    changed = [
        *settings_that_differ(manifest.settings["settings"], inputs.settings["settings"]),
        *(
            f"its input `{name}`"
            for name, content in inputs.contents.items()
            if manifest.inputs.get(name) != content
        ),
    ]
    why = "; ".join(changed) or "its file format"
    if stage.is_dear and not run.replace:
        made_of_it = [name for name in _complete_dear_stages(run) if stage.name in _before(name)]
        again = "".join(f"; {_cost(run, name)}" for name in (stage.name, *made_of_it))
        raise StageError(
            f"{run.folder(stage.name).url} is complete, and would be made again because this "
            f"changed: {why}{again}",
            hint="--yes makes it again; the result stays as it is when the change is taken back",
        )
    say(f"{stage.name:9} runs again, because this changed: {why}")


def _complete_dear_stages(run: Run) -> list[str]:
    complete = complete_manifests(run)
    return [name for name in complete if STAGES[name].is_dear]


def _before(name: str) -> set[str]:
    """Return the names of all stages that a stage's result goes back to."""
    reads = set(STAGES[name].reads)
    return reads.union(*(_before(earlier) for earlier in reads))


def _cost(run: Run, name: str) -> str:
    """Say what making a complete stage again would cost: rows, bytes, and the time it took."""
    manifest = run.folder(name).require()
    num_bytes = sum(f.num_bytes for f in manifest.files)
    cost = f"{name} has {manifest.num_outputs:,} of {manifest.num_inputs:,} rows in "
    cost += f"{num_bytes / 1e6:,.1f} MB"
    log = storage.join(run.config.root, RUN_LOG)
    if not (storage.is_local(log) and storage.exists(log)):
        return cost
    took = [row for row in read_json_lines(storage.read_text(log)) if row.get("stage") == name]
    return f"{cost}, which took {took[-1]['seconds']:.0f} s" if took else cost


def note_end(run: Run, stage: Stage, manifest: Manifest, seconds: float) -> None:
    """Say what a stage kept, and note how long it took."""
    name = stage.name
    say(f"{name:9} {manifest.num_outputs:,} of {manifest.num_inputs:,} in {seconds:.0f} s")
    if storage.is_local(run.config.root):
        log = JsonLines(storage.local_path(storage.join(run.config.root, RUN_LOG)))
        log.write(stage=name, ended=time.time(), seconds=seconds, outputs=manifest.num_outputs)


def complete_manifests(run: Run) -> dict[str, Manifest]:
    """Return the manifests of the stages that are complete, in order."""
    found = {name: run.folder(name).read() for name in stage_names(run.config)}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def nothing_left(run: Run, name: str) -> StageError:
    """Return the error of a stage that left nothing, with the funnel of all that is complete."""
    stages = [STAGES[stage].facts for stage in stage_names(run.config)]
    table = funnel.render(funnel.build(complete_manifests(run), stages))
    return StageError(
        f"{name} left nothing for the next stage\n\n{table}",
        hint="loosen the rule that dropped the most, or give the run more to start from",
    )


def nothing_found(stage: Stage, setup: StageSetup, result: StageResult) -> StageError:
    """Return the error of a stage that brought nothing in from outside."""
    ended: Mapping[str, int] = {**getattr(result.facts, "pages", {}), **result.states}
    refused = result.states.get("private_address", 0) == result.num_inputs > 0
    if setup.web is None:
        hint = "see that the source holds rows with an address and a text"
    elif refused:
        hint = "private addresses are refused unless `web.allowed_networks` lets them in"
    else:
        hint = "see that the network and the hosts answer; the same command tries again"
    return StageError(
        f"{stage.name} found nothing to hand on: {counts_by(ended) or 'nothing was there'}",
        hint=hint,
    )
