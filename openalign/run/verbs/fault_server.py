"""Serves the hostile web, and says how a pipeline is pointed at it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from openalign.errors import ConfigError, InputError
from openalign.files.tables import write_table
from openalign.hostile_web import pipeline
from openalign.hostile_web.cases import all_cases, table
from openalign.hostile_web.hostile_server import serve
from openalign.ingest.web.urls import BAD_PORTS

_ENDING = ".parquet"


def case_lines() -> list[str]:
    """Return the table of cases, in Markdown."""
    return table(all_cases())


@contextmanager
def serving(
    candidates: str, *, port: int, num_per_case: int, is_another_day: bool
) -> Generator[str]:
    """Serve every case while the block runs; yield the text of a pipeline that fetches them.

    The candidates are written to a Parquet file, and the certificate to trust beside it.

    Raises:
        ConfigError: an argument is none that is allowed.
        InputError: a file or a port cannot be had.
    """
    path = Path(candidates).absolute()
    if path.suffix != _ENDING:
        raise ConfigError(f"--candidates {candidates} must end in {_ENDING}")
    if num_per_case < 1:
        raise ConfigError(f"--per-case must be above 0, got {num_per_case}")
    if port and port in BAD_PORTS:
        raise ConfigError(f"--port {port} belongs to another service, and no fetch asks there")
    authority = path.with_suffix(".pem")
    try:
        with serve(all_cases(), port=port) as web:
            web.begin_day(is_another=is_another_day)
            rows = pipeline.candidates(web, num_per_case=num_per_case)
            write_table(str(path.parent), path.name, rows)
            authority.write_bytes(web.authority)
            yield pipeline.pipeline_text(web, table=str(path), ca_file=str(authority))
    except (OSError, OverflowError) as error:
        raise InputError(
            f"the hostile web cannot be served: {error}",
            hint="--port takes four free ports from this one on, and 0 any; --candidates names a "
            "file that can be written",
        ) from error
