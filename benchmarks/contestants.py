"""Contestants of a benchmark: each runs in a process of its own on the same cores.

Figures are of CPU time, of the process and its workers: wall time says little on shared cores.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def best_of(repeat: int, *words: str, clock: str = "cpu") -> dict[str, Any]:
    """Return the best run of a contestant by that clock: `cpu` or `wall`."""
    return min((one_run(*words) for _ in range(repeat)), key=lambda run: run[clock])


def one_run(*words: str) -> dict[str, Any]:
    """Run this script again as a child; imports and start-up are not timed."""
    command = [sys.executable, sys.argv[0], "--child", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child_words() -> list[str] | None:
    """Return what a child is told; None in the process that was started by hand."""
    return sys.argv[2:] if sys.argv[1:2] == ["--child"] else None


def time_and_tell(work: Callable[[], Any]) -> None:
    """Do a contestant's work, and print its answer and figures for the process that waits."""
    cpu, wall = cpu_seconds(), time.monotonic()
    answer = work()
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"answer": answer, "cpu": cpu, "wall": wall, "peak_mib": peak_mib}))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its workers that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
