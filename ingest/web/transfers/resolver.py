"""Looks up names on the event loop of the transfers. Each look-up ends with a `NameAnswer`."""

import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import pycares

from openalign.ingest.web.name_servers import Result, ask, is_known_to_fail, open_channel

_IPV4 = (pycares.QUERY_TYPE_A,)
_BOTH = (pycares.QUERY_TYPE_AAAA, pycares.QUERY_TYPE_A)
"""In the order in which addresses are tried (RFC 6724: IPv6 where there is a route)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAnswer:
    """What a look-up found: addresses, or whether it is certain that there are none."""

    addresses: tuple[str, ...] = ()
    ttl_seconds: float = 0.0
    is_certain: bool = True
    """False where no name server gave an answer, or one that can heal."""


class Watcher(Protocol):
    """The part of a reactor that watches descriptors."""

    def watch(self, descriptor: int, events: int, handle: Callable[[int, int], None]) -> None:
        """Call `handle` with a descriptor and its events from now on; without events, never."""
        ...


@dataclass(slots=True)
class _AddressQuery:
    tell: Callable[[NameAnswer], None]
    answers: dict[int, NameAnswer] = field(default_factory=dict[int, NameAnswer])


class Resolver:
    """Asks name servers for the addresses of names; has no cache and no limits of its own."""

    def __init__(self, servers: Sequence[str], watcher: Watcher, *, with_ipv6: bool) -> None:
        self._kinds = _BOTH if with_ipv6 else _IPV4
        self._watcher = watcher
        self._watched: set[int] = set()
        self._channel: pycares.Channel | None = open_channel(servers, self._on_descriptor)
        self.num_queries = 0
        """Under way."""

    @property
    def queries_of_name(self) -> int:
        """Return how many queries a look-up takes."""
        return len(self._kinds)

    def in_hosts_file(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name that this machine knows itself, such as `localhost`."""
        found: list[str] = []

        def tell(result: pycares.AddrInfoResult | None, status: int | None) -> None:
            del status
            nodes = [] if result is None else result.nodes
            found.extend(node.addr[0].decode("ascii") for node in nodes)

        self._open().getaddrinfo(name, None, callback=tell)
        return tuple(found)

    def look_up(self, name: str, tell: Callable[[NameAnswer], None]) -> None:
        """Ask for the addresses of a name; `tell` is called once, perhaps at once."""
        lookup = _AddressQuery(tell)
        for kind in self._kinds:
            self.num_queries += 1
            ask(self._open(), name, kind, partial(self._on_records, lookup, kind))

    def wait_seconds(self) -> float | None:
        """Return in how many seconds `turn` has something to do; None if it never has."""
        return self._open().timeout() if self.num_queries else None

    def turn(self) -> None:
        """Ask again, or give up, where an answer is overdue."""
        if self.num_queries:
            self._open().process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)

    def close(self) -> None:
        """Stop asking; look-ups under way are never told."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        for descriptor in self._watched:
            self._watcher.watch(descriptor, 0, self._on_events)
        channel.close()  # ends in a thread, which may still call back

    def _open(self) -> pycares.Channel:
        assert self._channel is not None, "the resolver is closed"
        return self._channel

    def _on_descriptor(self, descriptor: int, readable: bool, writable: bool) -> None:  # noqa: FBT001
        if self._channel is None:
            return
        events = selectors.EVENT_READ if readable else 0
        events |= selectors.EVENT_WRITE if writable else 0
        self._watcher.watch(descriptor, events, self._on_events)
        (self._watched.add if events else self._watched.discard)(descriptor)

    def _on_events(self, descriptor: int, events: int) -> None:
        if self._channel is None:
            return
        none = pycares.ARES_SOCKET_BAD
        self._channel.process_fd(
            descriptor if events & selectors.EVENT_READ else none,
            descriptor if events & selectors.EVENT_WRITE else none,
        )

    def _on_records(
        self, lookup: _AddressQuery, kind: int, result: Result, status: int | None
    ) -> None:
        if self._channel is None:
            return
        self.num_queries -= 1
        if result is None:
            answer = NameAnswer(is_certain=status is not None and is_known_to_fail(status))
        else:
            answer = _answer_in(result, kind)
        lookup.answers[kind] = answer
        if len(lookup.answers) == len(self._kinds):
            lookup.tell(_joined([lookup.answers[kind] for kind in self._kinds]))


def _answer_in(result: pycares.DNSResult, kind: int) -> NameAnswer:
    """Return the addresses of a message, which a name server has followed aliases to."""
    found: list[Any] = [record.data for record in result.answer if record.type == kind]
    ttl_seconds = min((record.ttl for record in result.answer), default=0)
    return NameAnswer(addresses=tuple(data.addr for data in found), ttl_seconds=ttl_seconds)


def _joined(answers: Sequence[NameAnswer]) -> NameAnswer:
    """Join the answers for both families: addresses of one are enough."""
    found = [answer for answer in answers if answer.addresses]
    if not found:
        return NameAnswer(is_certain=all(answer.is_certain for answer in answers))
    return NameAnswer(
        addresses=tuple(address for answer in found for address in answer.addresses),
        ttl_seconds=min(answer.ttl_seconds for answer in found),
    )
