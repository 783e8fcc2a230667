"""Rounds: what can heal of a complete fetch is tried again, and added to its result."""

import time
from collections.abc import Sequence
from difflib import get_close_matches

from openalign.engines.jobs import run_jobs
from openalign.errors import ConfigError, StageError
from openalign.files.facts import FetchFacts, counts_by
from openalign.files.fingerprints import fingerprint_of
from openalign.files.manifest import Manifest
from openalign.files.states import CAN_HEAL, FetchState
from openalign.ingest.fetching.page_file import write_page
from openalign.ingest.fetching.rounds import ledgers_taken_from, with_round
from openalign.run import messages, readiness
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.runner import at_work, setup_of
from openalign.run.stage_work.fetching import fetch_setup
from openalign.run.stages import STAGES
from openalign.telemetry import say


def run_round(run: Run, named: Sequence[str]) -> Manifest:
    """Try the images again that ended in some states, and return the manifest of all.

    Without a name these are all states that can heal. A round that was interrupted goes on.

    Raises:
        ConfigError: a name is that of no state, or of the images that are there.
        StageError: there is no complete fetch of these settings and inputs.
    """
    states = _states_named(named)
    stage = STAGES["fetch"]
    assert stage.jobs_again is not None
    inputs = read_inputs(run, stage)
    folder = run.folder(stage.name)
    with folder.locked():
        folder.finish_swap()
        manifest = folder.read()
        if manifest is None or manifest.fingerprint != inputs.fingerprint:
            raise StageError(
                f"{folder.url} is no complete fetch of what this pipeline says now",
                hint=f"run `openalign fetch {run.config.name}` first",
            )
        waiting = {state.value: manifest.states.get(state, 0) for state in states}
        if not any(waiting.values()):
            say(f"{stage.name:9} nothing to try again: no row is {' or '.join(sorted(waiting))}")
            return manifest
        readiness.require(run, stage)
        started = time.monotonic()
        number = len(manifest.facts_as(FetchFacts).rounds) + 1
        identity = [manifest.fingerprint, manifest.content_fingerprint(), sorted(waiting)]
        partial = folder.partial_url(fingerprint_of(identity))
        say(f"{stage.name:9} round {number} tries again: {counts_by(waiting)}")
        with at_work(stage, setup_of(run, stage, partial)) as setup:
            jobs = stage.jobs_again(setup, number, states)
            found = run_jobs(jobs, work=setup.work, beam_options=run.beam_options)
        fetched = fetch_setup(setup, round_number=number)
        replaced = ledgers_taken_from(fetched)
        after = with_round(manifest, found, states=states, replaced=replaced)
        facts = after.facts_as(FetchFacts)
        page = write_page(fetched, states=after.states, facts=facts, before=folder.url)
        after = after.with_file(page)
        folder.add_round(partial, after, replaced=replaced)
    say(f"{stage.name:9} round {number} ended: {counts_by(found.states)}")
    messages.note_end(run, stage, after, time.monotonic() - started, round_number=number)
    return after


def _states_named(named: Sequence[str]) -> list[FetchState]:
    allowed = [state.value for state in FetchState if state is not FetchState.FETCHED]
    for name in named:
        if name not in allowed:
            close = get_close_matches(name, allowed, n=1)
            raise ConfigError(
                f"--retry {name}: {name!r} is no state that can be tried again",
                hint=f"did you mean {close[0]}?" if close else f"allowed are {', '.join(allowed)}",
            )
    return [FetchState(name) for name in named] or sorted(CAN_HEAL)
