"""The transfers under way: as many as connections and memory allow, none beyond its deadline."""

import os
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

import pycurl

from openalign.ingest.web.answers import BodyRule, Ending
from openalign.ingest.web.certificates import trusted
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.descriptors import connections_that_fit
from openalign.ingest.web.reactor import Reactor, process_share
from openalign.ingest.web.transfer import HeldBytes, Transfer, user_agent

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
    look_up: bool
    """Whether the name is resolved although it may be cached."""


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
        self._max_held_bytes = max_held_bytes
        self.held = HeldBytes()
        """Of the bodies that arrive here; the owner adds those that it keeps."""

        self._active: dict[pycurl.Curl, tuple[Transfer, T]] = {}
        self._idle: list[Transfer] = []
        self._next_scan = 0.0

    @property
    def next_scan(self) -> float | None:
        """Return when deadlines are enforced next; None while nothing is under way."""
        return self._next_scan if self._active else None

    def has_room(self) -> bool:
        """Tell whether a connection and memory are free for another request."""
        return len(self._active) < self._limit and self.held.num <= self._max_held_bytes

    def start(self, item: T, request: Request, *, now: float) -> None:
        """Start an item's request."""
        transfer = self._idle.pop() if self._idle else self._new_transfer()
        transfer.prepare(
            request.url,
            rule=request.rule,
            judge_opt_out=request.judge_opt_out,
            look_up=request.look_up,
            now=now,
        )
        self._active[transfer.curl] = (transfer, item)
        self._limit_at_start = self._limit
        self._reactor.add(transfer.curl)

    def turn(self, wait_seconds: float) -> list[tuple[T, Ending]]:
        """Handle due events, waiting at most this long; return the items that have ended."""
        endings: list[tuple[T, Ending]] = []
        for curl, code in self._reactor.turn(wait_seconds):
            transfer, item = self._active.pop(curl)
            self._idle.append(transfer)
            endings.append((item, transfer.succeeded() if code == 0 else transfer.failed(code)))
        self._grow(sum(ending.trouble is None for _, ending in endings))
        return [*endings, *self._late(time.monotonic())]

    def make_do(self) -> bool:
        """Lower the limit for want of descriptors; return False when that cannot help.

        What is idle is closed then, and what is under way gives its descriptors back.
        """
        self._limit = max(1, len(self._active))
        self._reactor.limit(self._limit)
        return self._limit_at_start > 1

    def abandon(self) -> None:
        """Stop all transfers."""
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
        """Give up transfers without a first byte, and stuck ones: libcurl does not time them."""
        if now < self._next_scan:
            return []
        self._next_scan = now + _SCAN_SECONDS
        endings: list[tuple[T, Ending]] = []
        for curl, (transfer, item) in list(self._active.items()):
            spent = now - transfer.started
            is_late = spent > self._config.first_byte_seconds and not transfer.has_answered
            if not is_late and spent <= self._config.total_seconds + _LENIENCE_SECONDS:
                continue
            self._reactor.remove(curl)
            del self._active[curl]
            self._idle.append(transfer)
            detail = "no first byte" if is_late else "too slow"
            endings.append((item, transfer.timed_out(detail)))
        return endings
