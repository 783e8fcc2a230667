"""Names the rank that hangs while the others wait for it in a collective.

A collective says nothing about who is missing. So each rank tells a store, beside the collectives,
which step it is at, what it does, and whether it waits for others in a collective. Where a rank
sees no progress for too long, neither its own nor in what the others told, it names those that are
behind, shows where it is itself, and ends the process, and with it the run.
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
from types import FrameType
from typing import NamedTuple, Protocol

import torch.distributed as dist

from openalign.train.ranks import RankGroup

ACTIVITIES = (
    "starts",
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
loss, gradients and update. A checkpoint may take as long as its files get on. A start may take as
long as it takes, but for what a rank waits for others in it. In a test there are no steps but
places of images."""


class Mark(Protocol):
    """What a rank calls as it goes."""

    def __call__(self, step: int, activity: str, /) -> None:
        """Note the step that a rank is at, and what it does there."""
        ...

    def moved(self) -> None:
        """Note that a long piece of work gets on, such as a file; any thread may call it."""
        ...


STARTS, READS, COMPUTES, MEETS, VALIDATES, SAVES, SETTLES, GATHERS, TESTS, TESTED = ACTIVITIES

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
    waits: bool = False
    """Whether it is in a collective."""

    num_moved: int = 0
    """How often a long piece of work has got on."""

    @property
    def order(self) -> tuple[int, int, bool]:
        """Where this is in the course of a run; who waits for others is before none of them."""
        return self.step, ACTIVITIES.index(self.activity), self.waits


def describe_hang(told: Sequence[Doing | None], *, seconds: float) -> str:
    """Say which ranks are behind; `told` has None for a rank that could not tell anything."""
    silent = [f"rank {rank}" for rank, doing in enumerate(told) if doing is None]
    known = [doing for doing in told if doing is not None]
    lines = [f"no rank has got on for {seconds:.0f} s"]
    if silent:
        lines.append(f"{', '.join(silent)}: not heard of")
    least = min((doing.order for doing in known), default=(0, 0, False))
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
        self,
        ranks: RankGroup,
        store: dist.Store | None,
        *,
        seconds: float,
        setting: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ranks = ranks
        self._store = store
        self._seconds = seconds
        self._setting = setting
        self._clock = clock
        self._host = socket.gethostname()
        self._doing: Doing | None = None
        self._num_moved = 0
        self._since = self._clock()
        self._told: Doing | None = None
        self._seen: list[Doing | None] = []
        self._seen_since = 0.0
        self._watched_thread = threading.get_ident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __call__(self, step: int, activity: str, /) -> None:
        """Note what comes now; it takes under a microsecond."""
        self._doing = Doing(self._ranks.rank, self._host, step, activity)
        self._since = self._clock()

    def moved(self) -> None:
        """Note that what was noted last gets on."""
        self._num_moved += 1
        self._since = self._clock()

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
            if self._doing is None:
                continue
            doing = self._told_now(self._doing)
            if doing.activity == STARTS and not doing.waits:  # it may build kernels for long
                self._since = self._clock()
            # Before that nobody reads the store: in a large group it would be read all the time.
            if self._clock() - self._since > self._seconds / 4:
                idle = self._idle_seconds()
                if idle > patience:
                    self._give_up(idle)

    def _told_now(self, doing: Doing) -> Doing:
        """Return what this rank is at, which is told where it is news."""
        doing = doing._replace(waits=self._waits(doing.activity), num_moved=self._num_moved)
        is_news, self._told = doing != self._told, doing
        if self._store is not None and is_news:
            try:
                self._store.set(str(self._ranks.rank), json.dumps(doing))
            except RuntimeError:  # rank 0, which keeps the store, is gone
                self._store = None
        return doing

    def _waits(self, activity: str) -> bool:
        frames = sys._current_frames()  # noqa: SLF001  # what `faulthandler` shows
        if activity == SAVES:  # the thread that writes may be the one that waits for others
            return any(map(_in_collective, frames.values()))
        return _in_collective(frames.get(self._watched_thread))

    def _idle_seconds(self) -> float:
        """Return for how long no rank has got on, as far as this one sees.

        A rank may wait for long while others get on: shares of a test, and of a checkpoint, take
        each their own time.
        """
        seen = self._all()
        if seen != self._seen:
            self._seen, self._seen_since = seen, self._clock()
        return self._clock() - max(self._since, self._seen_since)

    def _give_up(self, idle: float) -> None:
        said = describe_hang(self._all(), seconds=idle)
        sys.stderr.write(
            f"error: {said}\n\nhint: {self._setting} is how long a step may take\n"
            f"rank {self._ranks.rank} is in:\n"
        )
        faulthandler.dump_traceback(all_threads=True)
        sys.stderr.flush()
        os._exit(HUNG)

    def _all(self) -> list[Doing | None]:
        if self._store is None:
            return [
                self._told if rank == self._ranks.rank else None
                for rank in range(self._ranks.world_size)
            ]
        return [_read(self._store, rank) for rank in range(self._ranks.world_size)]


@contextmanager
def watched(
    ranks: RankGroup, *, minutes: float | None, setting: str = "`train.hang_minutes`"
) -> Generator[Mark]:
    """Yield `at(step, activity)`, for a rank to call as it goes; all ranks must enter this.

    Where no rank calls anything for so many minutes, the run ends with a message that names those
    that are behind, and the setting. None: it may take as long as it likes.
    """
    if minutes is None:
        yield Unwatched()
        return
    watch = Watch(ranks, _shared_store(ranks), seconds=minutes * 60, setting=setting)
    watch.start()
    try:
        yield watch
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


def _in_collective(frame: FrameType | None) -> bool:
    """Tell whether a thread waits for other ranks, by the innermost call that it is in."""
    while frame is not None:
        if frame.f_globals.get("__name__") == dist.distributed_c10d.__name__:
            return True
        frame = frame.f_back
    return False


class Unwatched:
    """Notes nothing, where nobody watches."""

    def __call__(self, step: int, activity: str, /) -> None:
        """Take what comes now."""

    def moved(self) -> None:
        """Take that it gets on."""


def _said(doing: Doing) -> str:
    if doing.activity == STARTS:
        return doing.activity
    of_test = doing.activity in (TESTS, TESTED)
    return f"{doing.activity} at {'image' if of_test else 'step'} {doing.step}"


def _named(doing: Doing) -> str:
    return f"rank {doing.rank} on {doing.host}"
