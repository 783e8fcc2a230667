"""How a run ends before its last step: by a signal, by its starter's word, or at its time limit.

A rank that is asked to stop goes on to the end of the step. The ranks then agree, in the same
collective as the loss, so that all of them stop behind one step; they save a checkpoint and end
with code 143. The same command goes on from there.
"""

import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from openalign.settings.limits import not_negative, positive
from openalign.telemetry import PROCESS_BEGAN, say

STOPPED = 143
"""Exit code of a run that was asked to stop: a shell's for SIGTERM, whatever asked."""

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
"""Slurm's `--signal=USR1@120` sends the one long before the other; Kubernetes sends the other."""


BEGAN = "OPENALIGN_BEGAN"
"""Tells a rank when the command began that has started it, in seconds since 1970."""


def seconds_gone() -> float:
    """Return for how long the command runs that this process is, or that has started it as a rank.

    Processes share the wall's clock alone, which may be set meanwhile: ask once, and count on.
    """
    return time.time() - float(os.environ.get(BEGAN, PROCESS_BEGAN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When a run is stopped before its end, and how long that may take."""

    grace_seconds: float = 25.0
    """What `openalign train` gives its ranks to save from SIGTERM on, before it kills them.

    Schedulers kill it in turn: Slurm and Kubernetes after 30 s.
    """

    time_limit_minutes: float | None = None
    """Stop by itself so long after the command began, its earlier stages included; null: never.

    Under torchrun each rank is a command.
    """

    lead_seconds: float = 120.0
    """How long before the end SIGUSR1 comes: what `openalign train` then gives its ranks to save.

    So long before the time limit the last step must have ended.
    """

    def __post_init__(self) -> None:
        positive(time_limit_minutes=self.time_limit_minutes)
        not_negative(grace_seconds=self.grace_seconds, lead_seconds=self.lead_seconds)
        limit = self.time_limit_minutes
        if limit is not None and self.lead_seconds >= limit * 60:
            raise ValueError(
                f"lead_seconds must be below time_limit_minutes, got {self.lead_seconds} s and "
                f"{limit} min: no step would be taken"
            )


class Stopped(SystemExit):
    """The run was asked to stop, and has saved a checkpoint."""

    def __init__(self, step: int) -> None:
        super().__init__(STOPPED)
        self.step = step


def stop_behind(
    step: int, num_steps: int, *, words: str, says: bool, is_late: bool = False
) -> NoReturn:
    """End a run that has saved a checkpoint behind a step; who `says` so begins with `words`.

    Raises:
        Stopped: always.
    """
    if says:
        why = " at `train.stop.time_limit_minutes`" * is_late
        say(
            f"{words} stopped{why} behind step {step} of {num_steps}, with a checkpoint; the same "
            "command goes on from there"
        )
    raise Stopped(step)


class StopRequests:
    """Whether this rank is asked to stop."""

    def __init__(self, rule: Stopping, gone: float, clock: Callable[[], float]) -> None:
        limit = rule.time_limit_minutes
        self._end = None if limit is None else clock() - gone + limit * 60 - rule.lead_seconds
        self._clock = clock
        self._signalled = False
        self.is_late = False
        """Whether the time limit asks for it."""

        self._longest = 0.0
        self._before: float | None = None

    def ask(self, *_: int | FrameType | None) -> None:
        """Ask for a stop after the step; a signal's handler."""
        self._signalled = True

    def are_there(self) -> bool:
        """Tell whether to stop after this step; call it once a step.

        The time limit counts as reached where a step as long as the longest would pass it.
        """
        if self._signalled:
            return True
        if self._end is None:
            return False
        now = self._clock()
        if self._before is not None:
            self._longest = max(self._longest, now - self._before)
        self._before = now
        self.is_late = now + self._longest > self._end
        return self.is_late


@contextmanager
def stop_requests(
    rule: Stopping, *, gone: float, clock: Callable[[], float] = time.monotonic
) -> Generator[StopRequests]:
    """Listen to `SIGNALS` while steps are taken; before and after them they end the process.

    `gone` is how many seconds of the time limit are over.
    """
    requests = StopRequests(rule, gone, clock)
    before = {number: signal.signal(number, requests.ask) for number in SIGNALS}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
