"""When stages were made, how long they took, and on what machine, as the run's log has it.

Of all results only the report's page tells of it. No fingerprint depends on it.
"""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime

from openalign.files import storage
from openalign.files.names import RUN_LOG
from openalign.run.contract import Run
from openalign.telemetry import JsonLines, read_json_lines

_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """The last time that a stage was made."""

    seconds: float
    """Of the process that ended it; those that were killed before it are not counted."""

    day: str
    """When it ended, as a date in UTC; empty where the log does not say."""

    machine: str
    """Of the process that drove it; empty where the log does not say."""


def note_time(
    run: Run,
    stage: str,
    *,
    now: float,
    seconds: float,
    rows: tuple[int, int],
    round_number: int | None = None,
) -> None:
    """Note that a stage, or a later round of it, has ended.

    `rows` are those that came in and went on. A remote root has no log.
    """
    if not storage.is_local(run.config.root):
        return
    JsonLines(storage.local_path(storage.join(run.config.root, RUN_LOG))).write(
        stage=stage,
        ended=now,
        seconds=seconds,
        inputs=rows[0],
        outputs=rows[1],
        machine=machine(),
        **({} if round_number is None else {"round": round_number}),
    )


def times_taken(run: Run) -> dict[str, StageTime]:
    """Return the last time of each stage, without later rounds; nothing of a remote root."""
    log = storage.join(run.config.root, RUN_LOG)
    if not storage.is_local(log) or not storage.exists(log):
        return {}
    return {
        row["stage"]: StageTime(
            seconds=row["seconds"],
            day=_day(row["ended"]) if "ended" in row else "",
            machine=row.get("machine", ""),
        )
        for row in read_json_lines(storage.read_text(log))
        if "seconds" in row and "stage" in row and "round" not in row
    }


def machine() -> str:
    """Describe this machine: `2 cores, 24 GiB, Linux x86_64, Python 3.11.7`.

    It has no name and no address in it, so that it can be shown.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = ["1 core" if cores == 1 else f"{cores} cores"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        parts.append(f"{memory / _GIB:.0f} GiB")
    parts += [f"{platform.system()} {platform.machine()}", f"Python {platform.python_version()}"]
    return ", ".join(parts)


def _day(ended: float) -> str:
    return datetime.fromtimestamp(ended, UTC).date().isoformat()
