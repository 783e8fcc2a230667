"""Names and their addresses: kept for their TTL, and looked up no faster than the settings say.

Items wait here for a name, beside the transfers, so a slow name server takes no connection. Times
are seconds of a clock that only goes forward.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from openalign.ingest.web.config import DnsConfig
from openalign.ingest.web.name_servers import is_never_in_dns
from openalign.ingest.web.transfers.resolver import NameAnswer, Resolver, Watcher

T = TypeVar("T")

_CATCH_UP_SECONDS = 0.05
"""How much delay of look-ups may be caught up on."""

_UNANSWERED = NameAnswer(is_certain=False)


@dataclass(frozen=True, slots=True)
class _KnownAddresses:
    addresses: tuple[str, ...]
    until: float


class Names(Generic[T]):
    """Keeps addresses by name, and hands items back once the name that they wait for is known."""

    def __init__(
        self, config: DnsConfig, watcher: Watcher, *, seconds: float, with_ipv6: bool
    ) -> None:
        """Keep and look up as `config` says; a look-up is given up after so many seconds."""
        self._config = config
        self._watcher = watcher
        self._seconds = seconds
        self._with_ipv6 = with_ipv6
        self._resolver: Resolver | None = None
        self._resolver_until = 0.0
        self._kept: dict[str, _KnownAddresses] = {}
        self._waiting: defaultdict[str, list[T]] = defaultdict(list)
        self._queue: deque[str] = deque()
        self._under_way: dict[str, float] = {}
        """When each look-up is given up, the first one first."""

        self._told: deque[tuple[str, NameAnswer]] = deque()
        self._next_start = 0.0
        self.num_waiting = 0
        """Items that wait for a name."""

    def find(self, name: str, now: float) -> Sequence[str]:
        """Return the addresses of a name that are kept; none if it must be looked up."""
        kept = self._kept.get(name)
        if kept is None or kept.until <= now:
            return ()
        return kept.addresses

    def wait_for(self, name: str, item: T) -> None:
        """Let an item wait for a name, which is looked up once for all that wait."""
        self.num_waiting += 1
        is_first = name not in self._waiting
        self._waiting[name].append(item)
        if is_first and name not in self._under_way:
            self._queue.append(name)

    def turn(self, now: float) -> list[tuple[T, NameAnswer]]:
        """Start look-ups that are due; return the items whose name is known now, or given up."""
        if self._resolver is not None:
            self._resolver.turn()
        while self._queue and self._may_start(now):
            name = self._queue.popleft()
            if name in self._waiting:  # a late answer may have come
                self._start(name, now)
        self._give_up(now)
        items: list[tuple[T, NameAnswer]] = []
        while self._told:
            items += self._end(*self._told.popleft(), now=now)
        return items

    def wait_seconds(self, now: float) -> float | None:
        """Return in how many seconds `turn` has something to do; None if it never has."""
        if self._told:
            return 0.0
        waits = [until - now for until in self._under_way.values()][:1]
        if self._resolver is not None and (due := self._resolver.wait_seconds()) is not None:
            waits.append(due)
        if self._queue and self._has_room() and not self._is_draining(now):
            waits.append(self._next_start - now)
        return max(0.0, min(waits)) if waits else None

    def abandon(self) -> None:
        """Forget the items; what is known of names stays."""
        self._waiting.clear()
        self._queue.clear()
        self.num_waiting = 0

    def close(self) -> None:
        """Stop all look-ups."""
        self.abandon()
        if self._resolver is not None:
            self._resolver.close()

    def _has_room(self) -> bool:
        resolver = self._resolver
        if resolver is None:
            return True
        return resolver.num_queries + resolver.queries_of_name <= self._config.queries

    def _is_draining(self, now: float) -> bool:
        """Tell whether nothing starts before all that is under way has ended.

        c-ares keeps answers, too, and for as long as their TTL: an old resolver is replaced.
        """
        resolver = self._resolver
        return resolver is not None and self._resolver_until <= now and resolver.num_queries > 0

    def _may_start(self, now: float) -> bool:
        if self._is_draining(now):
            return False
        if self._resolver_until <= now or self._resolver is None:
            self._renew(now)
        return self._next_start <= now and self._has_room()

    def _renew(self, now: float) -> None:
        if self._resolver is not None:
            self._resolver.close()
        self._resolver = Resolver(self._config.servers, self._watcher, with_ipv6=self._with_ipv6)
        self._resolver_until = now + self._config.max_ttl_seconds

    def _start(self, name: str, now: float) -> None:
        assert self._resolver is not None, "a look-up starts on a resolver"
        self._under_way[name] = now + self._seconds
        tell = partial(self._on_answer, name)
        if is_never_in_dns(name):
            tell(NameAnswer())
        elif here := self._resolver.in_hosts_file(name):
            tell(NameAnswer(addresses=here))
        else:
            pause = self._resolver.queries_of_name / self._config.queries_per_second
            self._next_start = max(self._next_start, now - _CATCH_UP_SECONDS) + pause
            self._resolver.look_up(name, tell)

    def _give_up(self, now: float) -> None:
        """End the look-ups that have taken too long; what they find later is kept."""
        while self._under_way:
            name, until = next(iter(self._under_way.items()))
            if until > now:
                return
            del self._under_way[name]
            self._told.append((name, _UNANSWERED))

    def _on_answer(self, name: str, answer: NameAnswer) -> None:
        self._told.append((name, answer))

    def _end(self, name: str, answer: NameAnswer, *, now: float) -> list[tuple[T, NameAnswer]]:
        """Keep an answer, and return the items that waited for it."""
        self._under_way.pop(name, None)
        if answer.addresses:
            self._keep(name, answer, now)
        waited = self._waiting.pop(name, [])
        self.num_waiting -= len(waited)
        return [(item, answer) for item in waited]

    def _keep(self, name: str, answer: NameAnswer, now: float) -> None:
        config = self._config
        seconds = min(max(answer.ttl_seconds, config.min_ttl_seconds), config.max_ttl_seconds)
        self._kept.pop(name, None)  # so that it stands last
        self._kept[name] = _KnownAddresses(answer.addresses, now + seconds)
        if len(self._kept) > config.max_names:
            del self._kept[next(iter(self._kept))]
