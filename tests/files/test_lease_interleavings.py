"""Leases on random interleavings: every read and write of every run may come at any moment.

Each run is a thread that moves when the simulation says so, one read or write at a time, on a clock
that jumps. A run may be paused for minutes in front of any of them, or die there.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from openalign.errors import StageError
from openalign.files import leases
from openalign.files.leases import Fence, Lease, LeasePace, take

PACE = LeasePace(expiry_seconds=60, beat_seconds=15, poll_seconds=5, settle_seconds=2)
URL = "memory://simulated"
NUM_RUNS = 4


class _DiesError(Exception):
    """The machine of a run is gone."""


@dataclass
class Run:
    """One run as the simulation moves it."""

    name: str
    wakes: float = 0.0
    may_move: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: bool = False


@dataclass
class Event:
    """What a run did, in the order in which the store saw it."""

    kind: str
    token: int
    checked_after: int = 0
    """How many events there were when the check of what was published began."""


class Simulation:
    """A store, a clock and runs that use them in a random order."""

    def __init__(self, seed: int, *, with_faults: bool) -> None:
        self.draws, self.with_faults = random.Random(seed), with_faults
        self.files: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.now, self.moved = 0.0, threading.Semaphore(0)
        self.runs = [Run(f"{number}") for number in range(NUM_RUNS)]
        self.current: Run | None = None
        self.errors: list[BaseException] = []

    def play(self) -> None:
        threads = [threading.Thread(target=self._live, args=(run,)) for run in self.runs]
        for thread in threads:
            thread.start()
        while alive := [run for run in self.runs if not run.ended]:
            awake = [run for run in alive if run.wakes <= self.now]
            if not awake:
                self.now = min(run.wakes for run in alive)
                continue
            self.current = self.draws.choice(awake)
            self.current.may_move.release()
            self.moved.acquire()
        for thread in threads:
            thread.join()
        assert not self.errors, self.errors

    def sleep(self, seconds: float) -> None:
        run = self.current
        assert run is not None
        run.wakes = self.now + seconds
        self.moved.release()
        run.may_move.acquire()

    def turn(self) -> None:
        """Let others go first, in front of a read or write; or be away for long, or die."""
        if self.with_faults and self.draws.random() < 0.01:
            raise _DiesError
        away = self.with_faults and self.draws.random() < 0.03
        self.sleep(self.draws.uniform(30, 200) if away else 0)

    def create(self, url: str, content: bytes) -> bool:
        self.turn()
        if url in self.files:
            return False
        self.files[url] = content
        self.events.append(Event("taken", msgspec.json.decode(content, type=Lease).token))
        return True

    def write(self, url: str, content: bytes) -> None:
        self.turn()
        self.files[url] = content
        lease = msgspec.json.decode(content, type=Lease)
        if lease.released:
            self.events.append(Event("released", lease.token))

    def read(self, url: str) -> bytes | None:
        self.turn()
        return self.files.get(url)

    def names(self, folder: str) -> list[str]:
        self.turn()
        return [url.rpartition("/")[2] for url in self.files if url.startswith(folder)]

    def _live(self, run: Run) -> None:
        run.may_move.acquire()
        try:
            self._train(run)
        except (_DiesError, StageError):
            pass
        except BaseException as error:  # noqa: BLE001  # raised by `play`
            self.errors.append(error)
        finally:
            run.ended = True
            self.moved.release()

    def _train(self, run: Run) -> None:
        me = Lease(
            token=0,
            holder=run.name,
            machine=run.name,
            host=run.name,
            process=1,
            process_began="1",
        )
        self.sleep(self.draws.uniform(0, 100))
        own = take(URL, "run", pace=PACE, now=lambda: self.now, sleep=self.sleep, me=me)
        fence = Fence(URL, "run", own)
        for number in range(1, 10):
            self.sleep(self.draws.uniform(1, PACE.beat_seconds))
            fence.check()
            beat = msgspec.structs.replace(own, beat=number)
            leases.storage.write_bytes(f"{URL}/{own.token:08d}.json", msgspec.json.encode(beat))
            began = len(self.events)
            fence.check()
            self.turn()  # between the check and the write, anything may happen
            self.events.append(Event("published", own.token, checked_after=began))
        fence.check()
        released = msgspec.structs.replace(own, released=True)
        leases.storage.write_bytes(f"{URL}/{own.token:08d}.json", msgspec.json.encode(released))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Event]]:
    def play(seed: int, **options: Any) -> list[Event]:
        simulation = Simulation(seed, **options)
        monkeypatch.setattr(leases.shared_folder, "create", simulation.create)
        monkeypatch.setattr(leases.shared_folder, "read_if_there", simulation.read)
        monkeypatch.setattr(leases.shared_folder, "list_now", simulation.names)
        monkeypatch.setattr(leases.storage, "write_bytes", simulation.write)
        simulation.play()
        return simulation.events

    return play


def taken_at(events: list[Event]) -> dict[int, int]:
    return {event.token: at for at, event in enumerate(events) if event.kind == "taken"}


def test_nothing_is_published_that_was_checked_after_another_took_the_lease(
    played: Callable[..., list[Event]],
) -> None:
    num_displaced = num_published = 0
    for seed in range(150):
        events = played(seed, with_faults=True)
        taken = taken_at(events)
        assert list(taken) == list(range(1, len(taken) + 1))  # each token once, in order
        for event in events:
            if event.kind == "published":
                num_published += 1
                assert event.checked_after <= taken.get(event.token + 1, len(events)), seed
        num_displaced += sum(
            Event("released", token) not in events[: taken[token + 1]]
            for token in taken
            if token + 1 in taken
        )
    assert num_displaced > 30
    assert num_published > 300


def test_nobody_takes_the_lease_of_a_run_that_is_never_away(
    played: Callable[..., list[Event]],
) -> None:
    num_handed_over = 0
    for seed in range(100):
        events = played(seed, with_faults=False)
        taken = taken_at(events)
        for token in range(2, len(taken) + 1):
            assert Event("released", token - 1) in events[: taken[token]], seed
            num_handed_over += 1
        for token in taken:  # and it does all that it came for
            assert sum(e == Event("published", token, e.checked_after) for e in events) == 9
    assert num_handed_over > 30
