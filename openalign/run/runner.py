"""Brings a stage up to date: skips it, resumes it or makes it again, then seals it."""

import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from openalign.engines.live_counts import clear_live, read_live
from openalign.errors import ConfigError, StageError
from openalign.files import storage
from openalign.files.manifest import WORK, Manifest, StageFolder, StageInputs, StageResult
from openalign.files.sealed import lost_files
from openalign.run import consent, messages, preflight, readiness
from openalign.run.contract import Run, Stage, StageSetup
from openalign.run.lineage import read_inputs
from openalign.run.stages import STAGES, stage_names
from openalign.run.verbs.serving import served_site
from openalign.telemetry import progress_line, say


def run_all(run: Run) -> dict[str, Manifest]:
    """Bring every stage up to date, in order, and return their manifests.

    Raises:
        ConfigError: a dry run is asked for, or a setting cannot work with what is known.
        MissingExtraError: libraries of some stage are not installed.
        InputError: a benchmark or a model that a stage will need is not there.
        StageError: the pipeline has no stage, or there is no room for its results.
    """
    stages = [STAGES[name] for name in stage_names(run.config)]
    if not stages:
        raise StageError(
            f"{run.config.name} has no stage: it names no source (`harvest`) and no task "
            "(`evaluate.tasks`)",
            hint="name what is measured: evaluate: {tasks: [{kind: retrieval, benchmark: NAME}]}",
        )
    for stage in stages:
        if readiness.is_dry_run(run, stage):
            raise ConfigError(
                "a dry run makes no input for the next stage",
                hint=f"try one stage: openalign {stage.name} {run.config.name} -- --dry_run=True",
            )
    reasons = consent.reasons_to_make(run)
    consent.require_for_run(run, reasons)
    preflight.check(run, list(reasons))
    found: dict[str, Manifest | None] = {}
    for stage in stages:
        found[stage.name] = run_stage(run, stage.name)
        preflight.check_num_pairs(run, found[stage.name], behind=stage.name)
    messages.say_left_out(run)
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def run_stage(run: Run, name: str) -> Manifest | None:
    """Bring one stage up to date and return its manifest.

    Returns None if this process is one of several ranks: rank 0 locks and seals the stage.

    Raises:
        StageError: an earlier stage is not complete, the root cannot be written, another run is at
            work on this stage, or the stage ended without output.
        MissingExtraError: one of its libraries is not installed.
    """
    stage = STAGES[name]
    inputs = _read_inputs(run, stage)
    if stage.ranks is not None and stage.ranks.is_rank():
        readiness.require_libraries(stage)
        _require_consent(run, stage, inputs, run.folder(name).read())
        stage.ranks.run(run, inputs)
        return None
    started = time.monotonic()
    with run.folder(name).locked():
        manifest = _present_result(run, stage, inputs)
        is_new = manifest is None
        if manifest is None and stage.ranks is None:
            result = _make(run, stage, inputs)
            manifest = run.folder(name).seal(result, inputs, places=stage.places(run.config))
    if manifest is None:
        assert stage.ranks is not None
        manifest = stage.ranks.start(run, inputs)  # rank 0 takes the lock, and seals
    if is_new:
        messages.note_end(run, stage, manifest, time.monotonic() - started)
    if manifest.num_outputs == 0:
        raise messages.nothing_left(run, name)
    return manifest


def prepare(run: Run, name: str) -> None:
    """Make what a stage's ranks would wait for, before something else starts them.

    Nothing is made where the stage is up to date.

    Raises:
        StageError: this process is a rank, and else as `run_stage`.
    """
    stage = STAGES[name]
    ranks = stage.ranks
    assert ranks is not None, f"{name} has no ranks"
    assert ranks.prepare is not None, f"the ranks of {name} wait for nothing"
    if ranks.is_rank():
        raise StageError(
            "this process is one of several ranks, and `--prepare` is for one process alone",
            hint="run it once, before the ranks are started",
        )
    inputs = _read_inputs(run, stage)
    with run.folder(name).locked():
        is_there = _present_result(run, stage, inputs) is not None
    if not is_there:
        ranks.prepare(run, inputs)  # takes the lock itself, and the lease
        say(f"{name:9} is prepared: its ranks need not wait")


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
    # A folder of its own: the next run may resume from the files of a killed one.
    setup = setup_of(run, stage, run.folder(name).partial_url("dry-run"))
    jobs = stage.jobs(setup)
    build_jobs(jobs, work=setup.work, beam_options=run.beam_options)
    count = "1 job" if len(jobs.jobs) == 1 else f"{len(jobs.jobs)} jobs"
    say(f"{name:9} dry run passed: {count}, nothing was made")
    for problem in readiness.dataflow_problems(run):
        say(f"{'':9} a real run would be refused: {problem}")


def _read_inputs(run: Run, stage: Stage) -> StageInputs:
    if why := stage.left_out(run.config):
        raise StageError(
            f"{stage.name} has nothing to do: {why}",
            hint=f"openalign validate {run.config.name} shows the pipeline",
        )
    inputs = read_inputs(run, stage)
    if stage.rows_from and run.folder(stage.rows_from).require().num_outputs == 0:
        raise messages.nothing_left(run, stage.rows_from)
    return inputs


def _present_result(run: Run, stage: Stage, inputs: StageInputs) -> Manifest | None:
    """Return the result that is there, or None when it is to be made and that can start."""
    folder = run.folder(stage.name)
    folder.finish_swap()
    manifest = folder.read()
    is_current = manifest is not None and manifest.fingerprint == inputs.fingerprint
    if manifest is not None and is_current and not _has_lost(folder, stage, manifest):
        # A damaged file may be whole by now where no fingerprint shows it, as on a web server.
        if not (run.replace and manifest.damaged_files):
            messages.say_up_to_date(stage, manifest)
            places = stage.places(run.config)
            return manifest if manifest.places == places else folder.move_places(manifest, places)
        messages.say_damaged_files_again(stage, manifest)
    readiness.require(run, stage)
    _require_consent(run, stage, inputs, manifest)
    if manifest is not None and not is_current:
        messages.say_why(stage, messages.changes(manifest, inputs))
    preflight.check_selected(run, stage.name)
    return None


def _has_lost(folder: StageFolder, stage: Stage, manifest: Manifest) -> bool:
    """Tell whether a file of the result is gone, of a stage that makes such files again."""
    return stage.makes_lost_files and bool(lost_files(folder, manifest))


def _require_consent(
    run: Run, stage: Stage, inputs: StageInputs, manifest: Manifest | None
) -> None:
    """See that a complete result, if there is another than is asked for, may be made again.

    Raises:
        StageError: the result is a costly one, and the user has not agreed.
    """
    if manifest is not None and manifest.fingerprint != inputs.fingerprint:
        consent.require(run, stage, messages.changes(manifest, inputs))


def _make(run: Run, stage: Stage, inputs: StageInputs) -> StageResult:
    partial_url = run.folder(stage.name).partial_url(inputs.fingerprint)
    setup = setup_of(run, stage, partial_url)
    messages.say_behind_proxy(stage, setup.web)

    with at_work(stage, setup) as reached:
        result = _result(stage, reached)
    if result.num_outputs == 0 and stage.is_dear:
        # The network may have been down: these files must not block another attempt.
        storage.remove(partial_url)
        raise messages.nothing_found(stage, setup, result)
    _check_result(run, stage, result)
    return result


@contextmanager
def at_work(stage: Stage, setup: StageSetup) -> Generator[StageSetup]:
    """Show how far a stage is, and serve the pipeline's own site, while the block runs.

    Yield the setup with the site in it.
    """
    clear_live(setup.work)
    started = time.monotonic()

    words = messages.counts_so_far if stage.progress is None else stage.progress(setup)

    def measure() -> str:
        so_far = words(read_live(setup.work), time.monotonic() - started)
        return so_far or f"{len(storage.list_files(setup.output))} files"

    with (
        served_site(setup.run) if setup.web is not None else nullcontext({}) as served,
        progress_line(stage.name, measure),
    ):
        if setup.web is None:
            yield setup
        else:
            reached = {**setup.web.connect_to, **served}
            yield replace(setup, web=replace(setup.web, connect_to=reached))


def setup_of(run: Run, stage: Stage, partial_url: str) -> StageSetup:
    """Return what a stage is given that makes its result in a folder."""
    # A worker's current folder is not this process's.
    url = storage.absolute(partial_url)
    return StageSetup(run=run, output=url, work=storage.join(url, WORK), web=stage.web(run.config))


def _result(stage: Stage, setup: StageSetup) -> StageResult:
    if stage.jobs is not None:
        from openalign.engines.jobs import run_jobs

        return run_jobs(stage.jobs(setup), work=setup.work, beam_options=setup.run.beam_options)
    assert stage.make is not None, f"{stage.name} has neither jobs nor a function"
    return stage.make(setup)


def _check_result(run: Run, stage: Stage, result: StageResult) -> None:
    """Check a stage's result against its inputs and its files."""
    name = stage.name
    if stage.rows_from:
        given = run.folder(stage.rows_from).require().num_outputs
        assert result.num_inputs == given, f"{name} was given {given} rows, saw {result.num_inputs}"
    if stage.outputs:
        written = sum(f.num_rows for f in result.files if f.name.startswith(stage.outputs))
        assert written == result.num_outputs, f"{name} kept {result.num_outputs}, wrote {written}"
