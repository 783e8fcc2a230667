"""How far a fetch is: what workers count as they go, and the line that is made of it.

A line says how many candidates have ended, how fast, how many images were fetched, why others were
not, and how long the rest takes at this rate. The slowest hosts may take longer.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from openalign.amounts import bytes_in_words, time_in_words
from openalign.engines.live_counts import add_live
from openalign.engines.parts import Part
from openalign.files.states import FetchState
from openalign.ingest.fetching.work_plan import WorkPlan, read_plan

_IMAGES = "images/"
"""Prefix of images that ended, by state."""

_WAITS = "waits/"
"""Prefix of hosts that workers wait for, by how many workers."""

_ROWS, _ROWS_BEFORE, _BYTES, _ASKED = "rows", "rows_before", "bytes", "asked"

_NUM_REASONS = 3

_NUM_HOSTS = 3

_RATE_SECONDS = 120.0
"""Rates are those of so much time, up to now."""


def note_asked(work: str, num_images: int) -> None:
    """Count images whose turn has come: that hosts are asked for, or that are on a list."""
    add_live(work, {_ASKED: num_images})


def note_ended(work: str, state: FetchState, *, num_rows: int, num_bytes: int) -> None:
    """Count an image, its candidates and the bytes that arrived."""
    add_live(work, {_IMAGES + state.value: 1, _ROWS: num_rows, _BYTES: num_bytes})


def note_finished(work: str, part: Part) -> None:
    """Count the candidates of a shard that an earlier attempt has finished."""
    tried = Counter(part.counts)
    del tried[FetchState.NOT_TRIED.value]
    add_live(work, {_ROWS_BEFORE: tried.total()})


class WaitNotes:
    """Notes which hosts a worker waits for; close it, so that it waits for none."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._noted: Sequence[str] = ()

    def take(self, hosts: Sequence[str]) -> None:
        """Note the first of these hosts, in place of those from before."""
        counts = Counter(dict.fromkeys((_WAITS + host for host in hosts[:_NUM_HOSTS]), 1))
        counts.subtract(_WAITS + host for host in self._noted)
        self._noted = hosts[:_NUM_HOSTS]
        add_live(self._work, counts)

    def close(self) -> None:
        """Take back what is noted."""
        self.take(())


class _Moment(NamedTuple):
    seconds: float
    num_rows: int
    num_bytes: int


class FetchProgress:
    """Makes lines of live counts; it remembers those of the last minutes."""

    def __init__(self, plan_url: str) -> None:
        self._plan_url = plan_url
        self._moments = deque([_Moment(0.0, 0, 0)])

    @cached_property
    def _plan(self) -> WorkPlan:
        return read_plan(self._plan_url)

    def words(self, live: Mapping[str, int], seconds: float) -> str:
        """Return the line, `seconds` after the start.

        Before an image has ended it names the hosts that are waited for; without any it is empty.
        """
        counts = Counter(live)
        rate = self._rate(_Moment(seconds, counts[_ROWS], counts[_BYTES]))
        images = {
            name.removeprefix(_IMAGES): number
            for name, number in live.items()
            if name.startswith(_IMAGES)
        }
        waits = [name.removeprefix(_WAITS) for name in sorted(live) if name.startswith(_WAITS)]
        waits = [f"waits for {', '.join(waits[:_NUM_HOSTS])}"] if waits else []
        num_ended = sum(images.values())
        if not num_ended:
            return "".join(waits)
        num_done = counts[_ROWS] + counts[_ROWS_BEFORE]
        total = max(self._plan.num_tried, num_done)
        num_open = counts[_ASKED] - num_ended
        share = _percent(images.pop(FetchState.FETCHED, 0), num_ended)
        parts = [
            f"{num_done:,} of {total:,} candidates, {rate.num_rows:,.0f} a second",
            f"{share} of {num_ended:,} images fetched",
            *(
                f"{state} {_percent(number, num_ended)}"
                for state, number in sorted(images.items(), key=_most_first)[:_NUM_REASONS]
            ),
            f"{bytes_in_words(rate.num_bytes)} a second",
        ]
        if num_open > 0:
            parts.append(f"{num_open:,} under way")
        if rate.num_rows and num_done < total:
            parts.append(f"{time_in_words((total - num_done) / rate.num_rows)} left")
        return ", ".join(parts + waits)

    def _rate(self, now: _Moment) -> "_Rate":
        self._moments.append(now)
        while len(self._moments) > 2 and now.seconds - self._moments[0].seconds > _RATE_SECONDS:
            self._moments.popleft()
        then = self._moments[0]
        passed = max(now.seconds - then.seconds, 1.0)
        return _Rate(
            num_rows=(now.num_rows - then.num_rows) / passed,
            num_bytes=(now.num_bytes - then.num_bytes) / passed,
        )


class _Rate(NamedTuple):
    """What there is in a second."""

    num_rows: float
    num_bytes: float


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _percent(number: int, whole: int) -> str:
    return f"{100 * number / whole:.1f} %"
