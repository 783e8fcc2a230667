"""How a pipeline is run: each stage is skipped, gone on with or made anew, then sealed."""

import importlib.util
import json
import os
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from openalign.errors import ConfigError, MissingExtraError, StageError
from openalign.files import storage
from openalign.files.manifest import (
    WORK,
    Manifest,
    StageResult,
    settings_that_differ,
    stage_fingerprint,
)
from openalign.run.stages import (
    RANK_RESULT,
    STAGES,
    STARTED_BY_US,
    Place,
    Run,
    check_contacts,
    stage_names,
    train,
)
from openalign.settings.fields import identity
from openalign.telemetry import JsonLines, progress_line, say

_ASKS_THE_WEB = ("harvest", "fetch")


def run_stage(run: Run, name: str) -> Manifest:
    """Bring one stage up to date and return its manifest.

    Raises:
        StageError: an earlier stage is not complete, the root cannot be written, another run is at
            work on this stage, or the stage ended with nothing to hand on.
        MissingExtraError: one of its libraries is not installed.
    """
    _check_input(run, name)
    settings = {"settings": identity(STAGES[name].settings(run.config))}
    inputs = _inputs(run, name)
    fingerprint = stage_fingerprint(settings, inputs)
    folder = run.folder(name)
    lock = storage.join(run.config.root, f".lock-{folder.name}")
    with storage.locked(lock, busy=f"another run is at work on {folder.url}"):
        folder.finish_swap()
        manifest = folder.read()
        if manifest is not None and manifest.fingerprint == fingerprint:
            if manifest.num_outputs:
                say(f"{name:9} up to date")
        else:
            _say_why(name, manifest, settings, inputs)
            check_libraries(name)
            storage.check_writable(run.config.root)
            _check_options(run, name)
            started = time.monotonic()
            result = _make(run, name, folder.partial_url(fingerprint))
            _check_result(run, name, result)
            manifest = folder.seal(result, settings=settings, inputs=inputs)
            _note(run, name, manifest, time.monotonic() - started)
    if manifest.num_outputs == 0:
        raise _empty(run, name)
    return manifest


def run_all(run: Run) -> dict[str, Manifest]:
    """Bring every stage up to date, in order, and return their manifests.

    Raises:
        ConfigError: a dry run is asked for.
    """
    names = stage_names(run.config)
    if is_dry_run(run, "harvest"):
        raise ConfigError(
            "a dry run makes no input for the next stage",
            hint=f"try one stage: openalign harvest {run.config.name} -- ...",
        )
    check_contacts(run.config)
    found = {name: run_stage(run, name) for name in names}
    if "evaluate" not in names:
        say("evaluate  left out: the pipeline names no task (`evaluate.tasks`)")
    return found


def is_dry_run(run: Run, name: str) -> bool:
    """Tell whether a stage's Beam jobs are to be built and checked, but not run."""
    if not (run.beam_options and STAGES[name].num_jobs):
        return False
    check_libraries(name)
    from openalign.engines import runners

    return runners.is_dry_run(run.beam_options)


def dry_run(run: Run, name: str) -> None:
    """Build every Beam job of a stage as its runner would be sent it; nothing is made.

    The stages before it must be complete; whether it is so itself makes no difference.

    Raises:
        StageError: an earlier stage is not complete.
    """
    from openalign.engines import runners
    from openalign.engines.doctor import preflight

    _check_input(run, name)
    runners.check_options(run.beam_options)
    stage = STAGES[name]
    # Not where a run that was killed may have left what the next one goes on with.
    result = stage.run(run, _place(run.folder(name).partial_url("dry-run")))
    assert result is None, f"{name} ran"
    jobs = "1 job" if stage.num_jobs == 1 else f"{stage.num_jobs} jobs"
    say(f"{name:9} dry run passed: {jobs}, nothing was made")
    for check in preflight.dataflow_checks(run.beam_options, storage.absolute(run.config.root)):
        if check.problem:
            say(f"{'':9} a real run would be refused: {check.problem} ({check.hint})")


def run_training_rank(run: Run) -> None:
    """Train as one of several ranks; rank 0 leaves the result where the starter looks for it.

    Under Slurm, torchrun or Kubernetes nobody starts the ranks for us: there rank 0 seals.
    """
    stage, folder = STAGES["train"], run.folder("train")
    settings = {"settings": identity(stage.settings(run.config))}
    inputs = _inputs(run, "train")
    fingerprint = stage_fingerprint(settings, inputs)
    manifest = folder.read()
    if manifest is not None and manifest.fingerprint == fingerprint:
        return
    place = _place(folder.partial_url(fingerprint))
    result = train(run, place)
    if result is None:
        return
    storage.write_text(storage.join(place.work, RANK_RESULT), json.dumps(asdict(result)))
    if STARTED_BY_US not in os.environ:
        folder.seal(result, settings=settings, inputs=inputs)


def manifests(run: Run) -> dict[str, Manifest]:
    """Return the manifests of the stages that are complete, in order."""
    found = {name: run.folder(name).read() for name in stage_names(run.config)}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def check_libraries(name: str) -> None:
    """Look for the libraries of a stage.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    for library in STAGES[name].needs:
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(library, STAGES[name].extra)


def _check_input(run: Run, name: str) -> None:
    storage.check_reachable(run.config.root)
    _check_lineage(run, name)
    before = STAGES[name].rows_from
    if before and run.folder(before).require().num_outputs == 0:
        raise _empty(run, before)


def _check_options(run: Run, name: str) -> None:
    if run.beam_options and STAGES[name].num_jobs:
        from openalign.engines import runners
        from openalign.engines.doctor import preflight

        runners.check_options(run.beam_options)
        if run.config.site is not None and name in _ASKS_THE_WEB:
            _check_site_is_reached(run, remote=preflight.is_remote(run.beam_options))
        preflight.require(run.beam_options, storage.absolute(run.config.root))


def _check_site_is_reached(run: Run, *, remote: bool) -> None:
    if remote:
        raise StageError(
            f"{run.config.name} serves its own site on this machine's loopback device, where "
            "remote workers cannot ask it",
            hint="run this stage here, or on a cluster of this machine",
        )


def _check_lineage(run: Run, name: str) -> None:
    """See that all stages before this one were made from each other's present results."""
    for reads in _reads(run, name):
        _check_lineage(run, reads)
        made_from = run.folder(reads).require().inputs
        for earlier in _reads(run, reads):
            if made_from[earlier] != run.folder(earlier).require().content_fingerprint():
                raise StageError(
                    f"{run.folder(reads).url} was made from another result of `{earlier}` than "
                    "the one that is there now",
                    hint=f"run `openalign {reads} {run.config.name}` first",
                )


def _reads(run: Run, name: str) -> list[str]:
    present = stage_names(run.config)
    return [reads for reads in STAGES[name].reads if reads in present]


def _inputs(run: Run, name: str) -> dict[str, str]:
    found = {
        reads: run.folder(reads).require().content_fingerprint() for reads in _reads(run, name)
    }
    return found | STAGES[name].outside(run.config)


def _place(partial_url: str) -> Place:
    # A worker's current folder is not this process's.
    url = storage.absolute(partial_url)
    return Place(output=url, work=storage.join(url, WORK))


def _make(run: Run, name: str, partial_url: str) -> StageResult:
    def measure() -> str:
        return f"{len(storage.list_files(partial_url))} files"

    own_bar = name == "train"
    with nullcontext() if own_bar else progress_line(name, measure):
        result = STAGES[name].run(run, _place(partial_url))
    assert result is not None, f"{name} made nothing"
    if result.num_outputs == 0 and name in _ASKS_THE_WEB:
        # Perhaps the network was down: nothing of this may stand in the way of another attempt.
        storage.remove(partial_url)
        ended = {**result.facts.get("pages", {}), **result.states}
        counts = ", ".join(f"{state} {count:,}" for state, count in ended.items() if count)
        refused = result.states.get("private_address", 0) == result.num_inputs > 0
        raise StageError(
            f"{name} found nothing to hand on: {counts or 'nothing was there'}",
            hint="private addresses are refused unless `download.allowed_networks` lets them in"
            if refused
            else "see that the network and the hosts answer; the same command tries again",
        )
    return result


def _check_result(run: Run, name: str, result: StageResult) -> None:
    """Hold what a stage says against what it was given and what it wrote."""
    stage = STAGES[name]
    if stage.rows_from:
        given = run.folder(stage.rows_from).require().num_outputs
        assert result.num_inputs == given, f"{name} was given {given} rows, saw {result.num_inputs}"
    if stage.outputs:
        written = sum(f.num_rows for f in result.files if f.name.startswith(stage.outputs))
        assert written == result.num_outputs, f"{name} kept {result.num_outputs}, wrote {written}"


def _say_why(
    name: str, manifest: Manifest | None, settings: dict[str, Any], inputs: dict[str, str]
) -> None:
    if manifest is None:
        return
    changed = [
        *settings_that_differ(manifest.settings["settings"], settings["settings"]),
        *(f"its input `{key}`" for key in inputs if manifest.inputs.get(key) != inputs[key]),
    ]
    say(f"{name:9} runs again, because this changed: {'; '.join(changed) or 'its file format'}")


def _note(run: Run, name: str, manifest: Manifest, seconds: float) -> None:
    say(f"{name:9} {manifest.num_outputs:,} of {manifest.num_inputs:,} in {seconds:.0f} s")
    if storage.is_local(run.config.root):
        log = JsonLines(storage.local_path(storage.join(run.config.root, "run.jsonl")))
        log.write(stage=name, ended=time.time(), seconds=seconds, outputs=manifest.num_outputs)


def _empty(run: Run, name: str) -> StageError:
    from openalign.pages.funnel import build, render

    table = render(build(manifests(run)))
    return StageError(
        f"{name} left nothing for the next stage\n\n{table}",
        hint="loosen the rule that dropped the most, or give the run more to start from",
    )
