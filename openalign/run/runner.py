"""How a stage is brought up to date: skipped, gone on with or made anew, then sealed."""

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

from openalign.errors import ConfigError, StageError
from openalign.files import storage
from openalign.files.facts import counts_by
from openalign.files.fingerprints import canonical_json
from openalign.files.manifest import (
    WORK,
    Manifest,
    StageResult,
    settings_that_differ,
)
from openalign.files.names import RUN_LOG
from openalign.pages import funnel
from openalign.run import readiness
from openalign.run.lineage import Inputs, read_inputs
from openalign.run.serving import served_site
from openalign.run.stages import (
    RANK_RESULT,
    STAGES,
    STARTED_BY_US,
    Run,
    Stage,
    Task,
    stage_names,
    train,
)
from openalign.telemetry import JsonLines, progress_line, say


def run_all(run: Run) -> dict[str, Manifest]:
    """Bring every stage up to date, in order, and return their manifests.

    Raises:
        ConfigError: a dry run is asked for, or a stage that asks the web names no contact.
    """
    names = stage_names(run.config)
    if readiness.is_dry_run(run, STAGES["harvest"]):
        raise ConfigError(
            "a dry run makes no input for the next stage",
            hint=f"try one stage: openalign harvest {run.config.name} -- ...",
        )
    for name in names:
        readiness.require_contact(run, STAGES[name])
    found = {name: run_stage(run, name) for name in names}
    if "evaluate" not in names:
        say("evaluate  left out: the pipeline names no benchmark (`evaluate.datasets`)")
    return found


def run_stage(run: Run, name: str) -> Manifest:
    """Bring one stage up to date and return its manifest.

    Raises:
        StageError: an earlier stage is not complete, the root cannot be written, another run is at
            work on this stage, or the stage ended with nothing to hand on.
        MissingExtraError: one of its libraries is not installed.
    """
    stage, folder = STAGES[name], run.folder(name)
    inputs = _read_inputs(run, stage)
    with folder.locked():
        folder.finish_swap()
        manifest = folder.read()
        if manifest is not None and manifest.fingerprint == inputs.fingerprint:
            if manifest.num_outputs:
                say(f"{name:9} up to date")
        else:
            readiness.require(run, stage)
            _say_why(run, stage, manifest, inputs)
            started = time.monotonic()
            result = _make(run, stage, inputs)
            manifest = folder.seal(result, settings=inputs.settings, inputs=inputs.contents)
            _note(run, manifest, name, time.monotonic() - started)
    if manifest.num_outputs == 0:
        raise nothing_left(run, name)
    return manifest


def dry_run(run: Run, name: str) -> None:
    """Build every Beam job of a stage as its runner would be sent it; nothing is made.

    The stages before it must be complete. Whether the stage is complete makes no difference.

    Raises:
        StageError: an earlier stage is not complete.
    """
    from openalign.engines.jobs import build_jobs

    stage = STAGES[name]
    _read_inputs(run, stage)
    readiness.require_contact(run, stage)
    assert stage.jobs is not None, f"{name} has no Beam job"
    # Not where a run that was killed may have left what the next one goes on with.
    task = _task(run, stage, run.folder(name).partial_url("dry-run"))
    jobs = stage.jobs(task)
    build_jobs(jobs, work=task.work, beam_options=run.beam_options)
    count = "1 job" if len(jobs.jobs) == 1 else f"{len(jobs.jobs)} jobs"
    say(f"{name:9} dry run passed: {count}, nothing was made")
    for problem in readiness.dataflow_problems(run):
        say(f"{'':9} a real run would be refused: {problem}")


def run_training_rank(run: Run) -> None:
    """Train as one of several ranks; rank 0 leaves the result where the starter looks for it.

    Under Slurm, torchrun or Kubernetes nobody starts the ranks for us: there rank 0 seals.
    """
    stage, folder = STAGES["train"], run.folder("train")
    inputs = read_inputs(run, stage)
    manifest = folder.read()
    if manifest is not None and manifest.fingerprint == inputs.fingerprint:
        return
    task = _task(run, stage, folder.partial_url(inputs.fingerprint))
    result = train(run, output=task.output, work=task.work)
    if result is None:
        return
    storage.write_text(storage.join(task.work, RANK_RESULT), canonical_json(result))
    if STARTED_BY_US not in os.environ:
        folder.seal(result, settings=inputs.settings, inputs=inputs.contents)


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


def _read_inputs(run: Run, stage: Stage) -> Inputs:
    inputs = read_inputs(run, stage)
    if stage.rows_from and run.folder(stage.rows_from).require().num_outputs == 0:
        raise nothing_left(run, stage.rows_from)
    return inputs


def _make(run: Run, stage: Stage, inputs: Inputs) -> StageResult:
    partial_url = run.folder(stage.name).partial_url(inputs.fingerprint)
    task = _task(run, stage, partial_url)

    def measure() -> str:
        return f"{len(storage.list_files(partial_url))} files"

    with (
        served_site(run) if task.web is not None else nullcontext({}) as served,
        nullcontext() if stage.draws_progress else progress_line(stage.name, measure),
    ):
        if task.web is not None:
            reached = {**task.web.connect_to, **served}
            task = replace(task, web=replace(task.web, connect_to=reached))
        result = _result(stage, task)
    if result.num_outputs == 0 and stage.is_dear:
        # Perhaps the network was down: nothing of this may stand in the way of another attempt.
        storage.remove(partial_url)
        raise _found_nothing(stage, task, result)
    _check_result(run, stage, result)
    return result


def _task(run: Run, stage: Stage, partial_url: str) -> Task:
    # A worker's current folder is not this process's.
    url = storage.absolute(partial_url)
    return Task(run=run, output=url, work=storage.join(url, WORK), web=stage.web(run.config))


def _result(stage: Stage, task: Task) -> StageResult:
    if stage.jobs is not None:
        from openalign.engines.jobs import run_jobs

        return run_jobs(stage.jobs(task), work=task.work, beam_options=task.run.beam_options)
    assert stage.make is not None, f"{stage.name} has neither jobs nor a function"
    return stage.make(task)


def _found_nothing(stage: Stage, task: Task, result: StageResult) -> StageError:
    ended: Mapping[str, int] = {**getattr(result.facts, "pages", {}), **result.states}
    refused = result.states.get("private_address", 0) == result.num_inputs > 0
    if task.web is None:
        hint = "see that the source holds rows with an address and a text"
    elif refused:
        hint = "private addresses are refused unless `web.allowed_networks` lets them in"
    else:
        hint = "see that the network and the hosts answer; the same command tries again"
    return StageError(
        f"{stage.name} found nothing to hand on: {counts_by(ended) or 'nothing was there'}",
        hint=hint,
    )


def _check_result(run: Run, stage: Stage, result: StageResult) -> None:
    """Hold what a stage says against what it was given and what it wrote."""
    name = stage.name
    if stage.rows_from:
        given = run.folder(stage.rows_from).require().num_outputs
        assert result.num_inputs == given, f"{name} was given {given} rows, saw {result.num_inputs}"
    if stage.outputs:
        written = sum(f.num_rows for f in result.files if f.name.startswith(stage.outputs))
        assert written == result.num_outputs, f"{name} kept {result.num_outputs}, wrote {written}"


def _say_why(run: Run, stage: Stage, manifest: Manifest | None, inputs: Inputs) -> None:
    """Say why a complete result is made again, or refuse where that wants consent.

    Raises:
        StageError: a dear result would be replaced, and the user has not agreed.
    """
    if manifest is None:
        return
    changed = [
        *settings_that_differ(manifest.settings["settings"], inputs.settings["settings"]),
        *(f"its input `{key}`" for key in inputs.contents if _differs(manifest, inputs, key)),
    ]
    why = "; ".join(changed) or "its file format"
    if stage.is_dear and not run.replace:
        num_bytes = sum(f.num_bytes for f in manifest.files)
        raise StageError(
            f"{run.folder(stage.name).url} is complete and would be made again, because this "
            f"changed: {why}\n{manifest.num_inputs:,} rows would be asked for anew; "
            f"{manifest.num_outputs:,} outputs and {num_bytes / 1e6:,.1f} MB would be replaced",
            hint="run the same command with --yes to do that, or put the setting back",
        )
    say(f"{stage.name:9} runs again, because this changed: {why}")


def _differs(manifest: Manifest, inputs: Inputs, key: str) -> bool:
    return manifest.inputs.get(key) != inputs.contents[key]


def _note(run: Run, manifest: Manifest, name: str, seconds: float) -> None:
    say(f"{name:9} {manifest.num_outputs:,} of {manifest.num_inputs:,} in {seconds:.0f} s")
    if storage.is_local(run.config.root):
        log = JsonLines(storage.local_path(storage.join(run.config.root, RUN_LOG)))
        log.write(stage=name, ended=time.time(), seconds=seconds, outputs=manifest.num_outputs)
