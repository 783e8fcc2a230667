"""The transfers under way: as many as connections and memory allow, none beyond its deadline."""

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pycurl

from openalign.ingest.web.addresses import is_address
from openalign.ingest.web.answers import BodyRule, Ending
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outages import CONTROL_ADDRESSES, Machine
from openalign.ingest.web.transfers.certificates import trusted
from openalign.ingest.web.transfers.curl_options import user_agent
from openalign.ingest.web.transfers.descriptors import connections_that_fit
from openalign.ingest.web.transfers.names import Names
from openalign.ingest.web.transfers.reactor import Reactor, process_share
from openalign.ingest.web.transfers.transfer import HeldBytes, Transfer, unresolved
from openalign.ingest.web.urls import host_of

T = TypeVar("T")

_SCAN_SECONDS = 0.1
_LENIENCE_SECONDS = 1.0
"""How much longer than `total_seconds` a transfer may take before it is stopped from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, and how much of the answer is taken."""

    url: str
    rule: BodyRule
    judge_opt_out: bool
    on_new_connection: bool = False
    """Whether no connection of an earlier request is used."""


class Connections(Generic[T]):
    """Runs one request for each of its items, and hands the items back with their endings."""

    def __init__(self, config: WebConfig, *, accept: str, max_held_bytes: int) -> None:
        """Make room for connections.

        Raises:
            InputError: the certificates that are to be trusted cannot be read.
        """
        self._config = config
        self._agent = user_agent(config.contact)
        self._accept = accept
        self._trust = trusted(config.ca_file, os.environ)
        self._most = self._limit = connections_that_fit(config.connections)
        self._limit_at_start = self._limit
        """What it was when the last request started."""

        self._reactor = Reactor(max_connections=self._limit)
        self._names: Names[tuple[T, Request]] = Names(
            config.dns,
            self._reactor,
            seconds=config.connect_seconds,
            with_ipv6=Machine().has_route(CONTROL_ADDRESSES[1]),
        )
        self._named: deque[tuple[T, Request, Sequence[str]]] = deque()
        """Whose names are known since they waited for them."""

        self._max_held_bytes = max_held_bytes
        self.held = HeldBytes()
        """Of the bodies that arrive here; the owner adds those that it keeps."""

        self._active: dict[pycurl.Curl, tuple[Transfer, T]] = {}
        self._idle: list[Transfer] = []
        self._next_scan = 0.0

    @property
    def next_scan(self) -> float | None:
        """Return when deadlines are enforced next; None while nothing is under way."""
        is_idle = not (self._active or self._named or self._names.num_waiting)
        return None if is_idle else self._next_scan

    def has_room(self) -> bool:
        """Tell whether a connection and memory are free for another request."""
        num_next = len(self._active) + len(self._named)
        return max(num_next, self._names.num_waiting) < self._limit and (
            self.held.num <= self._max_held_bytes
        )

    def start(self, item: T, request: Request, *, now: float) -> None:
        """Start an item's request, once the name of its host is looked up."""
        name = host_of(request.url)
        if not self._is_looked_up(name):
            self._begin(item, request, (), now=now)
        elif addresses := self._names.find(name, now):
            self._begin(item, request, addresses, now=now)
        else:
            self._names.wait_for(name, (item, request))

    def _is_looked_up(self, name: str) -> bool:
        config = self._config
        return not (config.proxy or name in config.connect_to or is_address(name))

    def _begin(self, item: T, request: Request, addresses: Sequence[str], *, now: float) -> None:
        transfer = self._idle.pop() if self._idle else self._new_transfer()
        transfer.prepare(
            request.url,
            rule=request.rule,
            judge_opt_out=request.judge_opt_out,
            on_new_connection=request.on_new_connection,
            addresses=addresses,
            now=now,
        )
        self._active[transfer.curl] = (transfer, item)
        self._limit_at_start = self._limit
        self._reactor.add(transfer.curl)

    def turn(self, wait_seconds: float) -> list[tuple[T, Ending]]:
        """Handle due events, waiting at most this long; return the items that have ended."""
        endings: list[tuple[T, Ending]] = []
        names_wait = self._names.wait_seconds(time.monotonic())
        if names_wait is not None:
            wait_seconds = min(wait_seconds, names_wait)
        for curl, code in self._reactor.turn(wait_seconds):
            transfer, item = self._active.pop(curl)
            self._idle.append(transfer)
            endings.append((item, transfer.succeeded() if code == 0 else transfer.failed(code)))
        self._grow(sum(ending.trouble is None for _, ending in endings))
        now = time.monotonic()
        return [*endings, *self._take_names(now), *self._late(now)]

    def _take_names(self, now: float) -> list[tuple[T, Ending]]:
        """Begin requests whose names are known; return the items whose names have no address."""
        endings: list[tuple[T, Ending]] = []
        for (item, request), answer in self._names.turn(now):
            if answer.addresses:
                self._named.append((item, request, answer.addresses))
            else:
                endings.append((item, unresolved(is_certain=answer.is_certain)))
        while self._named and len(self._active) < self._limit:
            item, request, addresses = self._named.popleft()
            self._begin(item, request, addresses, now=now)
        return endings

    def make_do(self) -> bool:
        """Lower the limit for want of descriptors; return False when that cannot help.

        What is idle is closed then, and what is under way gives its descriptors back.
        """
        self._limit = max(1, len(self._active))
        self._reactor.limit(self._limit)
        return self._limit_at_start > 1

    def abandon(self) -> None:
        """Stop all transfers, and forget those that wait for a name."""
        self._names.abandon()
        self._named.clear()
        for transfer, _ in self._active.values():
            self._reactor.remove(transfer.curl)
            transfer.forget()
            self._idle.append(transfer)
        self._active.clear()

    def close(self) -> None:
        """Close every connection."""
        self.abandon()
        for transfer in self._idle:
            transfer.close()
        self._idle.clear()
        self._names.close()
        self._reactor.close()

    def _new_transfer(self) -> Transfer:
        return Transfer(
            self._config,
            share=process_share(),
            agent=self._agent,
            accept=self._accept,
            trust=self._trust,
            held=self.held,
        )

    def _grow(self, num_good: int) -> None:
        """Raise a lowered limit again, by one for each transfer that found what it needs."""
        if self._limit < self._most and num_good:
            self._limit = min(self._most, self._limit + num_good)
            self._reactor.limit(self._limit)

    def _late(self, now: float) -> list[tuple[T, Ending]]:
        """Give up transfers that have missed a deadline which libcurl does not keep."""
        if now < self._next_scan:
            return []
        self._next_scan = now + _SCAN_SECONDS
        endings: list[tuple[T, Ending]] = []
        for curl, (transfer, item) in list(self._active.items()):
            detail = self._missed_deadline(transfer, now)
            if detail is None:
                continue
            self._reactor.remove(curl)
            del self._active[curl]
            self._idle.append(transfer)
            endings.append((item, transfer.timed_out(detail)))
        return endings

    def _missed_deadline(self, transfer: Transfer, now: float) -> str | None:
        spent = now - transfer.started
        if not transfer.has_answered and spent > self._config.first_byte_seconds:
            return "no first byte"
        if transfer.note_speed(now) or spent > self._config.total_seconds + _LENIENCE_SECONDS:
            return "too slow"
        return None
