"""Contestants of a benchmark: each runs in a process of its own on the same cores.

Figures are of CPU time, of the process and its workers: wall time says little on shared cores.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
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


@contextmanager
def in_turns(
    words_of: Mapping[str, Sequence[str]], *, folder: str
) -> Generator[Callable[[str], dict[str, float]]]:
    """Start this script as several children; yield what lets one take a turn.

    It returns what the child tells by `end_turn`. All others stand still, so figures of turns that
    follow each other are of the same seconds of a machine whose speed changes. Temporary files of
    children lie in `folder`. Each is killed in the end.
    """
    children: dict[str, subprocess.Popen[str]] = {}
    try:
        for name, words in words_of.items():
            children[name] = subprocess.Popen(
                [sys.executable, sys.argv[0], "--child", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"TMPDIR": folder},
                process_group=0,
            )
            _end_of_turn(children[name])  # when it is ready
        yield partial(_take_turn, children)
    finally:
        for child in children.values():
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _take_turn(children: Mapping[str, subprocess.Popen[str]], name: str) -> dict[str, float]:
    child = children[name]
    assert child.stdin is not None
    os.killpg(child.pid, signal.SIGCONT)
    child.stdin.write("\n")
    child.stdin.flush()
    return _end_of_turn(child)


def _end_of_turn(child: subprocess.Popen[str]) -> dict[str, float]:
    """Wait until a child has told its figures, and make it stand still with all its threads."""
    assert child.stdout is not None
    told = next((line for line in child.stdout if line.startswith("{")), None)
    if told is None:
        raise RuntimeError(f"a contestant ended with code {child.wait()}")
    os.killpg(child.pid, signal.SIGSTOP)
    return json.loads(told)


def end_turn(figures: Mapping[str, float]) -> None:
    """Tell the figures of a turn, or none where none was taken, and wait for the next."""
    print(json.dumps(figures), flush=True)
    if not sys.stdin.readline():
        raise SystemExit("the process that gives turns is gone")
