"""Beam runners: which one gets a job, how its options are read, how a job runs to its end.

Options are Beam's own and are not mirrored: arguments after `--` on the command line go to
Beam's `PipelineOptions`.
"""

import logging
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import PipelineResult, PipelineState

from openalign.errors import (
    ConfigError,
    MissingExtraError,
    OpenAlignError,
    StageError,
    is_full_disk,
    users_mistake,
)
from openalign.settings.yaml_reader import did_you_mean
from openalign.telemetry import say

LOCAL = "FnApiRunner"

_HINT = "what follows `--` goes to Beam's PipelineOptions, as --name=value"

_FAILED_HINT = (
    "the runner's own log has the reason (on Spark: work/driver-*/stderr on a worker, and what the "
    "worker pool printed); the same command goes on from here"
)
_NOT_SENT_HINT = (
    "`openalign doctor NAME --runner ... -- OPTIONS` shows what was found of the runner"
)

_DEFAULTS = ("--environment_cache_millis=300000",)
"""Defaults: a user's flags win. Workers serve all steps of a job; Beam would start new ones
for each step and slot (25 Python processes for the demo's filter on Spark, instead of 4)."""

_CANCEL_SECONDS = 60.0
_QUIET_SECONDS = 3.0
_POLL_SECONDS = 0.5

_INTERRUPT = re.compile(r"^(RuntimeError: )?KeyboardInterrupt\b", re.MULTILINE)
"""How an interrupt begins a line of Beam's text about it."""

_SPARK = {"storage_level": "MEMORY_AND_DISK"}
"""Collections with several readers are computed once. Beam's Spark runner has this option; Beam's
Python SDK does not declare it."""


_View = TypeVar("_View", bound=PipelineOptions)


class _BeamOptions(PipelineOptions):
    """Beam's options, of which each view is made once.

    Beam asks for one at each transform and type, and builds its parser anew: 0.3 s in a filter's
    two jobs. Views share their values, so that an old one tells what a new one would.
    """

    def view_as(self, cls: type[_View]) -> _View:
        """Return a view of these options."""
        views: dict[type[PipelineOptions], PipelineOptions] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return cast(_View, views[cls])


def run_job(build: Callable[[beam.Pipeline], None], beam_options: Sequence[str]) -> bool:
    """Build and run a pipeline to its end; return whether it ran.

    In a dry run, or for a template, the pipeline is only built, as its runner would receive it. A
    job on a cluster is canceled when this process is interrupted or gets SIGTERM. The error is
    raised again after the job has ended there.

    Raises:
        KeyboardInterrupt: this process was interrupted.
        SystemExit: this process got SIGTERM; the code is 143, as a shell reports it.
        ConfigError: an option is not one of Beam's, or a required one is missing.
        MissingExtraError: the runner's libraries are not installed.
        StageError: a cluster did not take the job, the job failed there, or it ran here and a disk
            is full.
    """
    options = read_options(beam_options)
    try:
        pipeline = beam.Pipeline(options=options)
    except ValueError as error:
        missed = "; ".join(line.rstrip(".") for line in str(error).splitlines()[1:] or [str(error)])
        raise ConfigError(
            f"Beam cannot run a job with these options: {missed}", hint=_HINT
        ) from error
    build(pipeline)
    local = runner_of(options) == LOCAL
    sent = False
    try:
        with (
            nullcontext() if local else _files_of_a_job(),
            nullcontext() if local else _sigterm(),
            _quiet(users_mistakes=local),
        ):
            result = pipeline.run()
            sent = True
            _wait(result)
    except Exception as error:
        _raise_ours(error)
        if local and (mistake := users_mistake(error)):
            raise mistake from error
        if local or isinstance(error, (TypeError, AttributeError, AssertionError)):
            raise
        reason = (str(error) or repr(error)).splitlines()[0]
        raise StageError(
            f"the job {'failed on' if sent else 'could not be sent to'} {runner_of(options)} "
            f"({reason})",
            hint=_FAILED_HINT if sent else _NOT_SENT_HINT,
        ) from error
    dry = options.view_as(TestOptions).dry_run
    return not (dry or options.view_as(GoogleCloudOptions).template_location)


def _wait(result: PipelineResult) -> None:
    try:
        result.wait_until_finish()
    except BaseException as error:
        if not isinstance(error, Exception):  # interrupted: nobody seals what the job writes
            _take_off(result)
        raise


def _take_off(result: PipelineResult) -> None:
    """Cancel a job and wait for its end: servers that it uses must outlive it.

    A second interrupt ends the wait, and so does a timeout.
    """
    started = time.monotonic()
    is_told = False
    with suppress(Exception):
        result.cancel()
    while (spent := time.monotonic() - started) < _CANCEL_SECONDS:
        with suppress(Exception):  # the cluster may answer again soon
            if PipelineState.is_terminal(result.state):
                return
        if spent > _QUIET_SECONDS and not is_told:
            say("waits for the job to end on its cluster; Ctrl-C ends the wait")
            is_told = True
        time.sleep(_POLL_SECONDS)
    say(f"the job has not ended on its cluster after {_CANCEL_SECONDS:.0f} s; see that it does")


@contextmanager
def _sigterm() -> Generator[None]:
    """Turn SIGTERM into an exception, like Ctrl-C, so that a job is canceled on its cluster."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def end(number: int, _: FrameType | None) -> None:
        say("stopped by SIGTERM; the same command goes on from here")
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _files_of_a_job() -> Generator[None]:
    """Give Beam's temporary files a folder that is removed with the job: each job leaves a jar."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="openalign-job-") as folder:
        Path(folder).chmod(0o755)  # a Spark worker may be another user
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _raise_ours(error: Exception) -> None:
    """Raise an interrupt or a user's mistake as the original: Beam wraps it in a poorer copy."""
    if _is_interrupt(error):
        raise KeyboardInterrupt from error
    ours = [found for found in _chain(error) if isinstance(found, OpenAlignError)]
    if ours:
        raise ours[-1] from error


def _chain(error: BaseException | None) -> Generator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether an error comes from an interrupt, which Beam reports as a RuntimeError."""
    return any(
        isinstance(found, KeyboardInterrupt)
        or (isinstance(found, RuntimeError) and _INTERRUPT.search(str(found)) is not None)
        for found in _chain(error)
    )


@contextmanager
def _quiet(*, users_mistakes: bool) -> Generator[None]:
    """Keep Beam from logging the traceback of an interrupt, once for each step it passes.

    A user's mistake is as quiet where it is raised again here.
    """

    def keep(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        is_mistake = isinstance(error, OpenAlignError) or is_full_disk(error)
        return not ((users_mistakes and is_mistake) or _is_interrupt(error))

    logger = logging.getLogger("apache_beam.runners.common")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def named_runners(beam_options: Sequence[str]) -> set[str]:
    """Return the runners that options name, by any of Beam's names."""
    flags = [_with_whole_name(flag) for flag in _joined(beam_options)]
    return {flag.partition("=")[2] for flag in flags if flag.startswith("--runner=")}


def runner_of(options: PipelineOptions) -> str:
    """Return the class name of the runner."""
    return str(options.view_as(StandardOptions).runner).rpartition(".")[2]


def most_workers(beam_options: Sequence[str]) -> int | None:
    """Return how many workers a job has at most; None where a cluster decides."""
    options = read_options(beam_options)
    if runner_of(options) != LOCAL:
        return None
    # Beam takes 0 for as many as there are cores.
    return options.view_as(DirectOptions).direct_num_workers or os.cpu_count()


def is_dry_run(beam_options: Sequence[str]) -> bool:
    """Tell whether jobs are only built and checked."""
    return bool(read_options(beam_options).view_as(TestOptions).dry_run)


def check_options(beam_options: Sequence[str]) -> None:
    """Check that a stage can run with these options, before it writes anything.

    Raises:
        ConfigError: an option is not Beam's, or would detach from a job before its end.
        MissingExtraError: the runner's libraries are not installed.
    """
    given = read_options(beam_options).get_all_options(drop_default=True)
    for name in ("template_location", "no_wait_until_finish"):
        if given.get(name):
            raise ConfigError(
                f"a stage cannot be run with --{name}",
                hint="it starts its jobs itself and goes on when they have ended",
            )


def read_options(beam_options: Sequence[str]) -> PipelineOptions:
    """Return Beam's options.

    `FnApiRunner` replaces `DirectRunner`, which would try to download another engine.

    Raises:
        ConfigError: an option is not one of Beam's, or a required one is missing.
        MissingExtraError: the runner's libraries are not installed.
    """
    flags = [_with_whole_name(flag) for flag in _joined(beam_options)]
    if not any(flag.startswith("--runner=") for flag in flags):
        flags.insert(0, f"--runner={LOCAL}")
    _check_flags(flags)
    _check_runner_is_named(flags)
    spark = _SPARK if "--runner=SparkRunner" in flags else {}
    # The package holds everything that a worker needs: nothing of `__main__` is sent.
    options = _BeamOptions([*_DEFAULTS, *flags], save_main_session=False, **spark)
    if runner_of(options) == "DataflowRunner":
        _check_dataflow(options)
    elif options.view_as(TestOptions).dry_run:
        raise ConfigError(
            "--dry_run has no meaning for this runner", hint="add --runner=DataflowRunner"
        )
    return options


def _check_dataflow(options: PipelineOptions) -> None:
    try:
        import gcsfs  # noqa: F401  # how our own files get there
        from apache_beam.runners.dataflow.internal import apiclient  # noqa: F401  # as Beam asks
    except ImportError as error:
        raise MissingExtraError(error.name or "apache-beam[gcp]", "dataflow") from error
    cloud = options.view_as(GoogleCloudOptions)
    validator = PipelineOptionsValidator(options, None)
    problems = [
        validator.validate_gcs_path(cloud, name) for name in ("temp_location", "staging_location")
    ]
    if all(problems):  # Beam would create its own bucket
        raise ConfigError(
            f"DataflowRunner has no place for its files: {problems[0][0]}",
            hint="add --temp_location=gs://bucket/folder",
        )


def _check_runner_is_named(flags: Sequence[str]) -> None:
    """Refuse options of a cluster without a runner: the job would run here and ignore them."""
    names = [flag.partition("=")[0] for flag in flags]
    if f"--runner={LOCAL}" not in flags:
        return
    for name in names:
        if name.startswith(("--spark_", "--flink_", "--environment_", "--job_endpoint")):
            raise ConfigError(
                f"{name} has no meaning for a job in this process",
                hint="name the runner, for example --runner=SparkRunner",
            )


def _with_whole_name(flag: str) -> str:
    """Return a flag with the name of Beam's runner class, for aliases such as `spark`."""
    name, _, value = flag.partition("=")
    if name != "--runner":
        return flag
    known = {path.rpartition(".")[2].lower(): path for path in StandardOptions.ALL_KNOWN_RUNNERS}
    lower = value.rpartition(".")[2].lower()
    path = known.get(lower, known.get(f"{lower}runner", value))
    direct = path.endswith((".DirectRunner", ".SwitchingDirectRunner"))
    return f"--runner={LOCAL if direct else path.rpartition('.')[2]}"


def _joined(flags: Sequence[str]) -> list[str]:
    """Return the flags with `--name value` written as `--name=value`."""
    joined: list[str] = []
    for flag in flags:
        if joined and not flag.startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={flag}"
        else:
            joined.append(flag)
    return joined


def _check_flags(flags: Sequence[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    seen: set[type] = set()
    pending: list[Any] = [PipelineOptions]
    while pending:
        options = pending.pop()
        pending.extend(options.__subclasses__())
        if options not in seen and "_add_argparse_args" in vars(options):
            seen.add(options)
            options._add_argparse_args(parser)  # noqa: SLF001  # Beam's own hook for exactly this
    try:
        _, unknown = parser.parse_known_args(list(flags))
    except argparse.ArgumentError as error:
        raise ConfigError(f"Beam cannot read its options: {error}", hint=_HINT) from error
    if unknown:
        name, known = unknown[0].partition("=")[0], list(parser._option_string_actions)  # noqa: SLF001  # no public list
        raise ConfigError(
            f"{unknown[0]} is not an option of Beam", hint=did_you_mean(name, known) or _HINT
        )
