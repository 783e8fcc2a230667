"""Names the rank that hangs while the others wait for it in a collective.

A collective says nothing about who is missing. So each rank tells a store, beside the collectives,
which step it is at and what it does. Where a rank sees no progress of its own for too long, it
reads what all of them told, names those that are behind, shows where it is itself, and ends the
process, and with it the run.
"""

import faulthandler
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch.distributed as dist

from openalign.train.ranks import RankGroup

ACTIVITIES = (
    "waits for its pairs",
    "computes",
    "meets the others",
    "validates",
    "saves a checkpoint",
    "settles batch norm",
    "puts the weights together",
    "tests",
    "waits for what the others test",
)
"""What a rank can be at, in the order of a step; "meets the others" is all that ranks do together:
loss, gradients and update. A checkpoint may take as long as it takes, and the others wait. In a
test there are no steps but places of images, and a rank that is ready waits while others get on."""

Mark = Callable[[int, str], None]
"""Notes the step that a rank is at, and what it does there."""

READS, COMPUTES, MEETS, VALIDATES, SAVES, SETTLES, GATHERS, TESTS, TESTED = ACTIVITIES

HUNG = 1
"""Exit code of a rank that gave up."""

_SECONDS_BETWEEN_RANKS = 5.0
"""A rank gives up so much later than the one before it: one of them speaks for all."""


class Doing(NamedTuple):
    """What a rank is at."""

    rank: int
    host: str
    step: int
    activity: str

    @property
    def order(self) -> tuple[int, int]:
        """Where this is in the course of a run."""
        return self.step, ACTIVITIES.index(self.activity)


def describe_hang(told: Sequence[Doing | None], *, seconds: float) -> str:
    """Say which ranks are behind; `told` has None for a rank that could not tell anything."""
    silent = [f"rank {rank}" for rank, doing in enumerate(told) if doing is None]
    known = [doing for doing in told if doing is not None]
    lines = [f"no rank has got on for {seconds:.0f} s"]
    if silent:
        lines.append(f"{', '.join(silent)}: not heard of")
    least = min((doing.order for doing in known), default=(0, 0))
    behind = [doing for doing in known if doing.order == least]
    if len(behind) < len(known) or silent:
        lines += [f"{_named(d)} {_said(d)}" for d in behind]
        others = len(known) - len(behind)
        lines += [f"the other {others} wait for that"] if others else []
    elif behind:
        lines.append(f"all of them: {_said(behind[0])}")
    return "\n  ".join(lines)


class Watch:
    """Notes what this rank is at, and gives up where nothing moves."""

    def __init__(
        self, ranks: RankGroup, store: dist.Store | None, *, seconds: float, setting: str
    ) -> None:
        self._ranks = ranks
        self._store = store
        self._seconds = seconds
        self._setting = setting
        self._host = socket.gethostname()
        self._doing: Doing | None = None
        self._since = time.monotonic()
        self._told: Doing | None = None
        self._seen: list[Doing | None] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def at(self, step: int, activity: str) -> None:
        """Note what comes now; it takes under a microsecond."""
        self._doing = Doing(self._ranks.rank, self._host, step, activity)
        self._since = time.monotonic()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        patience = self._seconds + _SECONDS_BETWEEN_RANKS * self._ranks.rank
        while not self._ended.wait(min(5.0, self._seconds / 4)):
            self._tell()
            if self._doing is not None and self._doing.activity == TESTED:
                self._wait_for_others()
            idle = time.monotonic() - self._since
            if self._doing is not None and idle > patience and not self._anyone_saves():
                self._give_up(idle)

    def _tell(self) -> None:
        if self._store is not None and self._doing is not None and self._doing != self._told:
            self._told = self._doing
            try:
                self._store.set(str(self._ranks.rank), json.dumps(self._doing))
            except RuntimeError:  # rank 0, which keeps the store, is gone
                self._store = None

    def _wait_for_others(self) -> None:
        """Count what others get on with as progress: shares of a test take each their own time."""
        seen = self._all()
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()

    def _anyone_saves(self) -> bool:
        return any(doing is not None and doing.activity == SAVES for doing in self._all())

    def _give_up(self, idle: float) -> None:
        said = describe_hang(self._all(), seconds=idle)
        sys.stderr.write(
            f"error: {said}\n\nhint: {self._setting} is how long a step may take; what rank "
            f"{self._ranks.rank} is in:\n"
        )
        faulthandler.dump_traceback(all_threads=True)
        sys.stderr.flush()
        os._exit(HUNG)

    def _all(self) -> list[Doing | None]:
        if self._store is None:
            return [
                self._doing if rank == self._ranks.rank else None
                for rank in range(self._ranks.world_size)
            ]
        return [_read(self._store, rank) for rank in range(self._ranks.world_size)]


@contextmanager
def watched(
    ranks: RankGroup, *, minutes: float | None, setting: str = "`train.hang_minutes`"
) -> Generator[Mark]:
    """Yield `at(step, activity)`, for a rank to call as it goes; all ranks must enter this.

    Where a rank calls nothing for so many minutes, the run ends with a message that names the ranks
    that are behind, and the setting. None: it may take as long as it likes.
    """
    if minutes is None:
        yield _unwatched
        return
    watch = Watch(ranks, _shared_store(ranks), seconds=minutes * 60, setting=setting)
    watch.start()
    try:
        yield watch.at
    finally:
        watch.stop()


def _shared_store(ranks: RankGroup) -> dist.Store | None:
    """Open a store of rank 0's that all ranks can reach, beside their collectives."""
    if ranks.world_size == 1:
        return None
    host = os.environ["MASTER_ADDR"]
    patience = timedelta(seconds=30)
    kept = None
    if ranks.rank == 0:
        kept = dist.TCPStore(host, 0, is_master=True, timeout=patience, wait_for_workers=False)
    shared = [kept.port if kept is not None else 0]
    dist.broadcast_object_list(shared, src=0)
    return kept or dist.TCPStore(host, shared[0], is_master=False, timeout=patience)


def _read(store: dist.Store, rank: int) -> Doing | None:
    try:
        if not store.check([str(rank)]):
            return None
        return Doing(*json.loads(store.get(str(rank))))
    except RuntimeError:
        return None


def _unwatched(step: int, activity: str) -> None:
    """Do nothing where nobody watches."""
    del step, activity


def _said(doing: Doing) -> str:
    of_test = doing.activity in (TESTS, TESTED)
    return f"{doing.activity} at {'image' if of_test else 'step'} {doing.step}"


def _named(doing: Doing) -> str:
    return f"rank {doing.rank} on {doing.host}"
