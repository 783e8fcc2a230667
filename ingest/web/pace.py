"""The pace of requests: one queue a host, with limits on its rate and connections."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_CATCH_UP_SECONDS = 0.05
"""How much delay a host may catch up on; hosts with longer intervals never catch up."""


@dataclass(slots=True)
class Host(Generic[T]):
    """The queue of one host, and when its next request may start."""

    interval_seconds: float
    max_active: int
    num_owners: int
    waiting: deque[T] = field(default_factory=deque[T])
    num_active: int = 0
    due: float = 0.0
    is_listed: bool = False


class Pace(Generic[T]):
    """Hands out waiting items, in the order in which hosts become due."""

    def __init__(
        self,
        *,
        requests_per_second: float,
        max_active_per_host: int,
        owners_of: Callable[[str], int] = lambda _: 1,
    ) -> None:
        """Hand out items at a rate; a host with several owners gets its part of it from each."""
        self._owners_of = owners_of
        self._interval_seconds = 1.0 / requests_per_second
        self._max_active_per_host = max_active_per_host
        self._hosts: dict[str, Host[T]] = {}
        self._due: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()

    def put(self, host: str, item: T) -> None:
        """Add an item to its host's queue."""
        entry = self._host(host)
        entry.waiting.append(item)
        self._list(host, entry)

    def take(self, now: float) -> T | None:
        """Return an item whose host is due, or None; the host counts one more active item."""
        while self._due and self._due[0][0] <= now:
            _, _, name = heapq.heappop(self._due)
            host = self._hosts[name]
            host.is_listed = False
            if host.due > now:  # a hold came after it was listed
                self._list(name, host)
                continue
            item = host.waiting.popleft()
            host.num_active += 1
            lag = _CATCH_UP_SECONDS if host.interval_seconds < _CATCH_UP_SECONDS else 0.0
            host.due = max(host.due, now - lag) + host.interval_seconds
            self._list(name, host)
            return item
        return None

    def release(self, host: str) -> None:
        """Report that a taken item no longer uses its host."""
        entry = self._hosts[host]
        entry.num_active -= 1
        self._list(host, entry)

    def slow_down(self, host: str, *, interval_seconds: float) -> None:
        """Set the shortest time between two requests to a host."""
        entry = self._host(host)
        slower = interval_seconds * entry.num_owners
        entry.interval_seconds = max(entry.interval_seconds, slower)

    def hold(self, host: str, *, until: float) -> None:
        """Block a host until a time."""
        entry = self._host(host)
        entry.due = max(entry.due, until)

    def next_due(self) -> float | None:
        """Return when `take` has its next item, or None if no item can become due."""
        return self._due[0][0] if self._due else None

    def clear(self) -> None:
        """Empty all queues; rates stay."""
        self._due.clear()
        for host in self._hosts.values():
            host.waiting.clear()
            host.num_active = 0
            host.is_listed = False

    def _host(self, name: str) -> Host[T]:
        if name not in self._hosts:
            owners = self._owners_of(name)
            self._hosts[name] = Host(
                interval_seconds=self._interval_seconds * owners,
                max_active=max(1, self._max_active_per_host // owners),
                num_owners=owners,
            )
        return self._hosts[name]

    def _list(self, name: str, host: Host[T]) -> None:
        if host.is_listed or not host.waiting or host.num_active >= host.max_active:
            return
        host.is_listed = True
        heapq.heappush(self._due, (host.due, next(self._numbers), name))
