"""Trials, each once, over processes; those that a ledger has are not run again."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import msgspec

from openalign.train.sweep.ledger import Ledger

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")


def run_trials(
    trials: Mapping[str, Callable[[], R]], ledger: Ledger[R], *, num_processes: int = 1
) -> dict[str, R]:
    """Return the outcome of each trial, by its name, in the order of the trials.

    A trial is a function without arguments that can be pickled; its outcome must depend on nothing
    else. Outcomes are kept as they come, so a killed sweep loses the trials it was at.
    """
    kept = ledger.finished()
    waiting = {name: trial for name, trial in trials.items() if name not in kept}
    for name, outcome in in_processes(waiting, num_processes=num_processes):
        ledger.write(name, outcome)
        kept[name] = outcome
    return {name: kept[name] for name in trials}


def in_processes(
    jobs: Mapping[str, Callable[[], T]], *, num_processes: int
) -> Iterator[tuple[str, T]]:
    """Yield the name and the result of each job as it ends; with one process, in this one."""
    num_processes = min(num_processes, len(jobs))
    if num_processes <= 1:
        for name, job in jobs.items():
            yield name, job()
        return
    # Spawned, not forked: a fork would copy locks that the libraries' threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, mp_context=context, initializer=_follow_parent) as of:
        names = {of.submit(job): name for name, job in jobs.items()}
        try:
            for ended in as_completed(names):
                yield names[ended], ended.result()
        finally:
            of.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """End this process on Ctrl-C, and when the one that started it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
