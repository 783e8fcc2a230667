"""The pace of requests: one queue a host, with limits on its rate, connections and time.

A host without items is forgotten once its next request would be due. What must outlive that is
kept as a number: its Crawl-delay, and the time that it has taken.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from openalign.ingest.web.host_limits import HostLimits

T = TypeVar("T")

_CATCH_UP_SECONDS = 0.05
"""How much delay a host may catch up on; hosts with longer intervals never catch up."""


@dataclass(slots=True)
class Host(Generic[T]):
    """The queue of one host, and when its next request may start."""

    limits: HostLimits
    interval_seconds: float
    waiting: deque[T] = field(default_factory=deque[T])
    delayed: dict[int, T] = field(default_factory=dict[int, T])
    num_active: int = 0
    due: float = 0.0
    is_listed: bool = False
    busy_since: float | None = None
    """When the first of its present items came in; None while there is none."""

    @property
    def num_items(self) -> int:
        """How many items it has, waiting, delayed and active."""
        return len(self.waiting) + len(self.delayed) + self.num_active

    @property
    def is_idle(self) -> bool:
        """Tell whether it has no item."""
        return not (self.waiting or self.delayed or self.num_active)


class Pace(Generic[T]):
    """Hands out waiting items, in the order in which hosts become due."""

    def __init__(self, limits_of: Callable[[str], HostLimits]) -> None:
        self._limits_of = limits_of
        self._hosts: dict[str, Host[T]] = {}
        self._crawl_delays: dict[str, float] = {}
        self._seconds_taken: dict[str, float] = {}
        self._due: list[tuple[float, int, str]] = []
        self._delayed: list[tuple[float, int, str]] = []
        self._deadlines: list[tuple[float, str]] = []
        self._timed: set[str] = set()
        """The hosts in `_deadlines`, each of which stands there once."""

        self._resting: list[tuple[float, str]] = []
        self._numbers = itertools.count()

    @property
    def num_hosts(self) -> int:
        """Return how many hosts have a queue in memory."""
        return len(self._hosts)

    def put(self, host: str, item: T, *, now: float) -> None:
        """Add an item to its host's queue."""
        entry = self._busy(host, now)
        entry.waiting.append(item)
        self._list(host, entry)

    def delay(self, host: str, item: T, *, until: float, now: float) -> None:
        """Add an item that joins its host's queue at a later time."""
        number = next(self._numbers)
        self._busy(host, now).delayed[number] = item
        heapq.heappush(self._delayed, (until, number, host))

    def take(self, now: float) -> T | None:
        """Return an item whose host is due, or None; the host counts one more active item."""
        self._wake(now)
        self._forget(now)
        while self._due and self._due[0][0] <= now:
            _, _, name = heapq.heappop(self._due)
            host = self._hosts.get(name)
            if host is None:
                continue  # expelled, and forgotten
            host.is_listed = False
            if host.due > now or not host.waiting:  # held or expelled after it was listed
                self._list(name, host)
                continue
            item = host.waiting.popleft()
            host.num_active += 1
            lag = _CATCH_UP_SECONDS if host.interval_seconds < _CATCH_UP_SECONDS else 0.0
            host.due = max(host.due, now - lag) + host.interval_seconds
            self._list(name, host)
            return item
        return None

    def release(self, host: str, *, now: float) -> None:
        """Report that a taken item no longer uses its host."""
        entry = self._hosts[host]
        entry.num_active -= 1
        self._list(host, entry)
        self._rest(host, entry, now)

    def slow_down(self, host: str, *, interval_seconds: float) -> None:
        """Set the shortest time between two requests to a host."""
        if interval_seconds <= 0:
            return
        shared = interval_seconds * self._limits_of(host).num_owners
        self._crawl_delays[host] = max(self._crawl_delays.get(host, 0.0), shared)
        if (entry := self._hosts.get(host)) is not None:
            entry.interval_seconds = max(entry.interval_seconds, shared)

    def hold(self, host: str, *, until: float, now: float) -> None:
        """Block a host until a time."""
        entry = self._host(host)
        entry.due = max(entry.due, until)
        self._rest(host, entry, now)

    def expel(self, host: str, *, now: float) -> list[T]:
        """Take out and return what waits for a host, delayed items included."""
        entry = self._hosts.get(host)
        if entry is None:
            return []
        items = [*entry.waiting, *entry.delayed.values()]
        entry.waiting.clear()
        entry.delayed.clear()
        self._rest(host, entry, now)
        return items

    def overdrawn(self, now: float) -> list[str]:
        """Return the hosts whose `host_seconds` have run out since the last call."""
        hosts: list[str] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, name = heapq.heappop(self._deadlines)
            self._timed.discard(name)
            entry = self._hosts.get(name)
            deadline = self._deadline(name, entry) if entry is not None else None
            if deadline is None:
                continue
            if deadline <= now:
                hosts.append(name)
            else:  # it was idle for a while
                self._time(name, deadline)
        return hosts

    def next_due(self) -> float | None:
        """Return when `take` has its next item, or None if no item can become due."""
        times = [heap[0][0] for heap in (self._due, self._delayed) if heap]
        return min(times) if times else None

    def busy_hosts(self) -> list[str]:
        """Return the hosts that have items, those with the most first."""
        num_items = {name: host.num_items for name, host in self._hosts.items() if not host.is_idle}
        return sorted(num_items, key=lambda name: (-num_items[name], name))

    def clear(self, *, now: float) -> None:
        """Drop all items; what is known of hosts stays."""
        self._due.clear()
        self._delayed.clear()
        for name, host in self._hosts.items():
            host.waiting.clear()
            host.delayed.clear()
            host.num_active = 0
            host.is_listed = False
            self._rest(name, host, now)

    def _host(self, name: str) -> Host[T]:
        if name not in self._hosts:
            limits = self._limits_of(name)
            interval_seconds = 1.0 / limits.requests_per_second
            interval_seconds = max(interval_seconds, self._crawl_delays.get(name, 0.0))
            self._hosts[name] = Host(limits, interval_seconds)
        return self._hosts[name]

    def _busy(self, name: str, now: float) -> Host[T]:
        """Return a host that gets an item; its time runs from here on."""
        host = self._host(name)
        if host.busy_since is None:
            host.busy_since = now
            if (deadline := self._deadline(name, host)) is not None:
                self._time(name, deadline)
        return host

    def _time(self, name: str, deadline: float) -> None:
        if name not in self._timed:
            self._timed.add(name)
            heapq.heappush(self._deadlines, (deadline, name))

    def _deadline(self, name: str, host: Host[T]) -> float | None:
        if host.limits.host_seconds is None or host.busy_since is None:
            return None
        return host.busy_since + host.limits.host_seconds - self._seconds_taken.get(name, 0.0)

    def _list(self, name: str, host: Host[T]) -> None:
        if host.is_listed or not host.waiting:
            return
        if host.num_active >= host.limits.connections_per_host:
            return
        host.is_listed = True
        heapq.heappush(self._due, (host.due, next(self._numbers), name))

    def _wake(self, now: float) -> None:
        """Let delayed items join their queues."""
        while self._delayed and self._delayed[0][0] <= now:
            _, number, name = heapq.heappop(self._delayed)
            host = self._hosts.get(name)
            if host is not None and number in host.delayed:
                host.waiting.append(host.delayed.pop(number))
                self._list(name, host)

    def _rest(self, name: str, host: Host[T], now: float) -> None:
        """Stop the time of a host that has become idle."""
        if not host.is_idle:
            return
        if host.busy_since is not None and host.limits.host_seconds is not None:
            taken = self._seconds_taken.get(name, 0.0) + now - host.busy_since
            self._seconds_taken[name] = taken
        host.busy_since = None
        heapq.heappush(self._resting, (host.due + _CATCH_UP_SECONDS, name))

    def _forget(self, now: float) -> None:
        """Drop the queues of idle hosts that could start a request at once."""
        while self._resting and self._resting[0][0] <= now:
            _, name = heapq.heappop(self._resting)
            host = self._hosts.get(name)
            if host is not None and host.is_idle and host.due + _CATCH_UP_SECONDS <= now:
                del self._hosts[name]
