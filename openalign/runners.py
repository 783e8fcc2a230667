"""Which Beam runner a job goes to, and how its options are read.

Options are Beam's own and are not mirrored: what follows `--` on the command line goes to its
`PipelineOptions`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from openalign.errors import ConfigError, OpenAlignError


def run_job(build: Callable[[beam.Pipeline], None], beam_options: Sequence[str]) -> None:
    """Build and run a pipeline to its end.

    `DirectRunner` would try to download another engine, so `FnApiRunner` takes its place.

    Raises:
        ConfigError: an option is none of Beam's.
    """
    flags = _joined(beam_options)
    flags = ["--runner=FnApiRunner" if f.lower() == "--runner=directrunner" else f for f in flags]
    if not any(flag.startswith("--runner=") for flag in flags):
        flags.insert(0, "--runner=FnApiRunner")
    _check_flags(flags)
    try:
        with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
            build(pipeline)
    except Exception as error:
        found: BaseException | None = error
        while found is not None:  # Beam wraps what a worker raises
            if isinstance(found, OpenAlignError):
                raise found from error
            found = found.__cause__ or found.__context__
        raise


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

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    seen: set[type] = set()
    pending: list[Any] = [PipelineOptions]
    while pending:
        options = pending.pop()
        pending.extend(options.__subclasses__())
        if options not in seen and "_add_argparse_args" in vars(options):
            seen.add(options)
            options._add_argparse_args(parser)  # noqa: SLF001  # Beam's own hook for exactly this
    _, unknown = parser.parse_known_args(list(flags))
    if unknown:
        raise ConfigError(
            f"{unknown[0]} is not an option of Beam",
            hint="what follows `--` goes to Beam's PipelineOptions, as --name=value",
        )
