"""A stage's Beam jobs, declared as records, and the one place that runs them.

A stage says how to build each job's graph and how to use the summaries. Only this module knows
whether a graph is only built (a dry run), which job an earlier attempt has finished, where
summaries lie and which options Beam gets.

    work/<job>.jsonl     the job's summary
    work/<job>.done      exists when the job has ended and `finish` has run: a rerun skips the job
    work/<job>.attempt-<id>   exists while an attempt at the job runs
"""

import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec

from openalign.engines.parts import Summary, WriteSummary, read_summary
from openalign.engines.runners import run_job
from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.manifest import DataFile, StageResult


class _Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's marker says."""

    told: str
    files: list[DataFile]


_DONE = msgspec.json.Decoder(_Done)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job, as its workers know it: its file exists while the job runs."""

    url: str

    def require(self) -> None:
        """Stop a worker whose attempt is over: a worker can outlive its job.

        Raises:
            StageError: the job was ended, or died and was started again.
        """
        if not self._stands():
            raise StageError(
                "the job that this worker belongs to has ended",
                hint="the same command goes on from here",
            )

    def _stands(self) -> bool:
        try:
            storage.read_bytes(self.url)  # a driver may cache an old listing
        except InputError:
            return False
        return True


def _no_files(_: Summary) -> Sequence[DataFile]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One Beam job: a graph whose Parts add up to a summary."""

    name: str
    """Names the job's files in `work/`."""

    build: Callable[[beam.Pipeline, Attempt], Any]
    """Adds the job's transforms to a pipeline and returns the collection of its Parts."""

    told: str = ""
    """What it is told that no fingerprint of the stage has. It runs again if an earlier attempt,
    which another command began, was told something else."""

    finish: Callable[[Summary], Sequence[DataFile]] = _no_files
    """Runs once in this process after the job; returns the files that it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that has ended."""

    summary: Summary
    files: Sequence[DataFile]
    """The files that `finish` wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """A stage's jobs, in order, and how their summaries become its result."""

    jobs: Sequence[Job]
    collect: Callable[..., StageResult]
    """Called with an `EndedJob` for each job."""


def run_jobs(stage: Jobs, *, work: str, beam_options: Sequence[str] = ()) -> StageResult:
    """Run a stage's jobs to their end and return its result.

    A job that an earlier attempt has finished, told the same, is not run again.

    Raises:
        StageError: a job failed, or ended and its summary cannot be seen from here.
        ConfigError: an option is not one of Beam's.
    """
    return stage.collect(
        *[run_one(job, work=work, beam_options=beam_options) for job in stage.jobs]
    )


def build_jobs(stage: Jobs, *, work: str, beam_options: Sequence[str]) -> None:
    """Build every job as its runner would receive it, without running any: a dry run."""
    for job in stage.jobs:
        attempt = Attempt(storage.join(work, f"{job.name}.dry-run"))
        ran = run_job(_graph(job, summary_url(work, job.name), attempt), beam_options)
        assert not ran, f"{job.name} ran"


def run_one(job: Job, *, work: str, beam_options: Sequence[str] = ()) -> EndedJob:
    """Run a job to its end, unless an earlier attempt has; return what came of it.

    Raises:
        StageError: it failed, or ended and its summary cannot be seen from here.
        ConfigError: an option is not one of Beam's.
    """
    url, marker = summary_url(work, job.name), storage.join(work, f"{job.name}.done")
    done = _DONE.decode(storage.read_bytes(marker)) if storage.exists(marker) else None
    if done is None or done.told != job.told:
        storage.remove(marker)
        storage.remove(url)  # an earlier attempt's summary may list other files
        with _attempt(job, work) as attempt:
            run_job(_graph(job, url, attempt), beam_options)
        if not storage.exists(url):
            raise StageError(
                f"the job ended, and its summary {url} cannot be seen from here",
                hint="set the pipeline's root to a URL or a mounted folder that every worker "
                "shares",
            )
        done = _Done(told=job.told, files=list(job.finish(read_summary(url))))
        storage.write_text(marker, canonical_json(done))
    return EndedJob(summary=read_summary(url), files=done.files)


def _graph(job: Job, url: str, attempt: Attempt) -> Callable[[beam.Pipeline], None]:
    def build(pipeline: beam.Pipeline) -> None:
        _ = job.build(pipeline, attempt) | "Summary" >> WriteSummary(url, attempt.require)

    return build


@contextmanager
def _attempt(job: Job, work: str) -> Generator[Attempt]:
    """Mark this attempt at the job as the current one while the job runs."""
    for name in storage.list_files(work):
        if name.startswith(f"{job.name}.attempt-"):
            storage.remove(storage.join(work, name))
    attempt = Attempt(storage.join(work, f"{job.name}.attempt-{uuid.uuid4().hex}"))
    storage.write_text(attempt.url, "")
    try:
        yield attempt
    finally:
        storage.remove(attempt.url)


def summary_url(work: str, job_name: str) -> str:
    """Return where the summary of a job lies."""
    return storage.join(work, f"{job_name}.jsonl")
