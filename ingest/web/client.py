"""The polite web client of crawl and fetch: URLs in, answers or reasons out.

The client checks every URL before it sends a request, redirects included: first the rules of its
origin (`site_rules`), then, after DNS, the IP address. Each host has a limit on its rate and
connections. Every wait has a deadline. Temporary failures are tried again.
"""

import heapq
import itertools
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from openalign.files.states import FetchState
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outages import Outages, outage_error
from openalign.ingest.web.outcomes import Failure, Outcome, Response, refusal_of_status
from openalign.ingest.web.pace import Pace
from openalign.ingest.web.reactor import Reactor, process_share
from openalign.ingest.web.robots import MAX_ROBOTS_BYTES
from openalign.ingest.web.site_rules import MAX_RULES_REDIRECTS, SiteRules
from openalign.ingest.web.transfer import REDIRECTS, BodyRule, Ending, Head, Refusal, Transfer
from openalign.ingest.web.urls import canonical_url, host_of, origin_of

MAX_HELD_BYTES = 512_000_000
"""No request starts while bodies in memory exceed this; running transfers continue."""

_LONGEST_WAIT_SECONDS = 1.0
_SCAN_SECONDS = 0.1
_UNREACHABLE = frozenset({FetchState.CONNECT_FAILURE, FetchState.DNS_FAILURE, FetchState.TIMEOUT})
"""Failures that cost time at each attempt; the others come at once."""


@dataclass(slots=True)
class _Visit:
    """One address on its way through attempts and redirects."""

    asked: str
    """The caller's URL; empty for a file of rules."""

    url: str
    host: str
    rules_file: str = ""
    """The file of an origin's rules that this asks for."""

    rules_until: float = math.inf
    """When the rules that allow it expire."""

    num_attempts: int = 0
    num_redirects: int = 0
    redirect: Head | None = None
    """The redirect that led here."""


class WebClient:
    """Asks for many addresses at once; keeps connections and rules of origins between calls."""

    def __init__(
        self,
        config: WebConfig,
        *,
        accept: str,
        body: BodyRule,
        judge_redirect: Callable[[str, str], Refusal | None] | None = None,
        max_held_bytes: int = MAX_HELD_BYTES,
        owners_of: Callable[[str], int] = lambda _: 1,
    ) -> None:
        """Ask as `config` says; `owners_of` tells among how many clients a host is shared."""
        self._config = config
        self._max_held_bytes = max_held_bytes
        self._judge_redirect = judge_redirect
        self._accept = accept
        self._body = self._asked_body = body
        # A byte more than is read tells whether the file goes on.
        self._rules_body = BodyRule(max_bytes=MAX_ROBOTS_BYTES + 1, cut=True)
        self._reactor = Reactor(max_connections=config.connections)
        self._pace: Pace[_Visit] = Pace(
            requests_per_second=config.requests_per_second,
            max_active_per_host=config.connections_per_host,
            owners_of=owners_of,
        )
        self._rules = SiteRules(config)
        self._awaiting_rules: dict[str, list[_Visit]] = defaultdict(list)
        self._asked: set[str] = set()
        self._outages = Outages(config.connect_to)
        self._doubtful: list[tuple[Future[str | None], _Visit, Ending]] = []
        self._failures_in_a_row: dict[str, int] = defaultdict(int)
        self._active: dict[object, tuple[Transfer, _Visit]] = {}
        self._idle: list[Transfer] = []
        self._later: list[tuple[float, int, _Visit]] = []
        self._numbers = itertools.count()
        self._ready: deque[Outcome] = deque()
        self._num_open = 0
        self._next_scan = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._abandon()
        for transfer in self._idle:
            transfer.close()
        self._idle.clear()
        self._reactor.close()

    def ask(self, urls: Iterable[str], *, body: BodyRule | None = None) -> Iterator[Outcome]:
        """Yield one outcome for each canonical URL, in the order in which they end.

        `body` is how much of an answer is taken, where that is not what the client was told.
        Transfers pause while the caller works on an outcome. Memory holds at most about one answer
        a connection, and no request starts while the answers are too large.

        Raises:
            StageError: the cause is this machine and not the host: see `outages`.
        """
        self._asked_body = body or self._body
        try:
            self.add(urls)
            while (outcome := self.take()) is not None:
                yield outcome
        finally:
            self._abandon()

    def add(self, urls: Iterable[str]) -> None:
        """Ask for canonical URLs, beside those that are open; `take` returns their outcomes."""
        for url in urls:
            self._num_open += 1
            self._admit(_Visit(asked=url, url=url, host=host_of(url)))

    def take(self) -> Outcome | None:
        """Return an outcome, in the order in which they end; None when no address is open.

        Raises:
            StageError: the cause is this machine and not the host: see `outages`.
        """
        while self._num_open or self._ready:
            self._turn()
            if self._ready:
                return self._ready.popleft()
        return None

    def sitemaps_of(self, origin: str) -> list[str]:
        """Return the sitemaps that an origin's robots.txt names, once it has been asked for."""
        return self._rules.sitemaps_of(origin)

    def _turn(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2])
        self._start_due(now)
        ended = self._reactor.turn(0.0 if self._ready else self._wait_seconds(now))
        # All are taken out first, because an outage in one of them ends the loop.
        for code, transfer, visit in [(code, *self._active.pop(curl)) for curl, code in ended]:
            self._idle.append(transfer)
            self._pace.release(visit.host)
            self._judge(visit, transfer.succeeded() if code == 0 else transfer.failed(code))
        self._settle_doubtful()
        self._enforce_deadlines(time.monotonic())

    def _wait_seconds(self, now: float) -> float:
        times = [self._later[0][0]] if self._later else []
        due = self._pace.next_due()
        if due is not None and self._has_room():
            times.append(due)
        if self._active:
            times.append(self._next_scan)
        if self._doubtful:
            times.append(now + _SCAN_SECONDS)
        assert times, "addresses are open, but nothing is under way for them"
        return min(_LONGEST_WAIT_SECONDS, max(0.0, min(times) - now))

    def _start_due(self, now: float) -> None:
        while self._has_room():
            visit = self._pace.take(now)
            if visit is None:
                return
            if self._failures_in_a_row[visit.host] >= self._config.host_failures:
                self._pace.release(visit.host)
                detail = "the host did not answer many requests before"
                self._end(visit, Refusal(state=FetchState.CONNECT_FAILURE, detail=detail))
                continue
            if visit.rules_until <= now:
                host, visit = visit.host, self._judged(visit)
                if visit is None:
                    self._pace.release(host)
                    continue
            visit.num_attempts += 1
            origin = origin_of(visit.url)
            transfer = self._idle.pop() if self._idle else self._new_transfer()
            transfer.prepare(
                visit.url,
                rule=self._rules_body if visit.rules_file else self._asked_body,
                judge_opt_out=self._config.respect_opt_outs and not visit.rules_file,
                look_up=visit.num_attempts > 1 or origin not in self._asked,
                now=now,
            )
            self._asked.add(origin)
            self._active[transfer.curl] = (transfer, visit)
            self._reactor.add(transfer.curl)

    def _has_room(self) -> bool:
        """Tell whether a connection and memory are free for another request."""
        limit = self._config.connections
        if len(self._active) >= limit or len(self._ready) >= limit:
            return False
        held_bytes = sum(transfer.num_bytes for transfer, _ in self._active.values())
        held_bytes += sum(len(outcome.body) for outcome in self._ready)
        return held_bytes <= self._max_held_bytes

    def _new_transfer(self) -> Transfer:
        return Transfer(self._config, share=process_share(), accept=self._accept)

    def _enforce_deadlines(self, now: float) -> None:
        """Give up transfers without a first byte, and stuck ones: libcurl does not time them."""
        if now < self._next_scan:
            return
        self._next_scan = now + _SCAN_SECONDS
        first, total = self._config.first_byte_seconds, self._config.total_seconds
        for curl, (transfer, visit) in list(self._active.items()):
            spent = now - transfer.started
            is_late = spent > first and not transfer.has_answered
            if not is_late and spent <= total + _LONGEST_WAIT_SECONDS:
                continue
            self._reactor.remove(transfer.curl)
            del self._active[curl]
            self._idle.append(transfer)
            self._pace.release(visit.host)
            self._judge(visit, transfer.timed_out("no first byte" if is_late else "too slow"))

    # The steps of an address ---------------------------------------------------------------------

    def _admit(self, visit: _Visit) -> None:
        """Queue an address, once the rules of its origin are known and allow it."""
        if (judged := self._judged(visit)) is not None:
            self._enqueue(judged)

    def _judged(self, visit: _Visit) -> _Visit | None:
        """Return an address that the rules of its origin allow.

        If they are not known it waits, and the file that says them is returned, once. None: the
        file is under way already, or the rules refuse the address, which ends it.
        """
        if visit.rules_file:
            return visit
        if file := self._rules.file_before(visit.url, time.monotonic()):
            waiting = self._awaiting_rules[file]
            waiting.append(visit)
            first = _Visit(asked="", url=file, host=visit.host, rules_file=file)
            return first if len(waiting) == 1 else None
        if refusal := self._rules.refusal_of(visit.url):
            self._end(visit, refusal)
            return None
        visit.rules_until = self._rules.hold_until(visit.url)
        return visit

    def _enqueue(self, visit: _Visit) -> None:
        self._pace.put(visit.host, visit)

    def _judge(self, visit: _Visit, ended: Ending) -> None:
        """Conclude answers and failures of a host; retry after an outage of this machine."""
        if ended.head is not None:
            self._outages.note_answer(visit.host, ended.address)
        if ended.trouble is None:
            self._conclude(visit, ended)
        elif (what := self._outages.judge(visit.host, ended.trouble)) is not None:
            self._endure(visit, what)
        elif self._outages.is_doubtful(visit.host, ended.trouble):
            self._doubtful.append((self._outages.judge_name(visit.host), visit, ended))
        else:
            self._conclude(visit, ended)

    def _settle_doubtful(self) -> None:
        """Conclude the failures whose name lookup has ended."""
        told = [entry for entry in self._doubtful if entry[0].done()]
        self._doubtful = [entry for entry in self._doubtful if not entry[0].done()]
        for verdict, visit, ended in told:
            if (what := verdict.result()) is not None:
                self._endure(visit, what)
            else:
                self._conclude(visit, ended)

    def _endure(self, visit: _Visit, what: str) -> None:
        """Try again after an outage of this machine, which does not count against the host.

        Raises:
            StageError: there is no attempt left.
        """
        if not self._try_again(visit, None):
            raise outage_error(what)

    def _conclude(self, visit: _Visit, ended: Ending) -> None:
        self._note_reachability(visit, ended)
        head, refusal = ended.head, ended.refusal
        can_heal = ended.can_heal
        if refusal is None:
            assert head is not None, "a transfer without a head ends with a refusal"
            if head.status in REDIRECTS:
                self._redirect(visit, head)
                return
            if 200 <= head.status < 300:
                self._succeed(visit, head, ended.body)
                return
            refusal = refusal_of_status(head.status)
            can_heal = refusal.state is FetchState.HTTP_SERVER_ERROR
        if can_heal and self._try_again(visit, head if ended.refusal is None else None):
            return
        self._end(visit, refusal, head=head, body=ended.body if ended.refusal is not None else b"")

    def _note_reachability(self, visit: _Visit, ended: Ending) -> None:
        if ended.refusal is not None and ended.refusal.state in _UNREACHABLE:
            self._failures_in_a_row[visit.host] += 1
        else:
            self._failures_in_a_row[visit.host] = 0

    def _redirect(self, visit: _Visit, head: Head) -> None:
        target = canonical_url(head.header("location") or "", head.url)
        limit = MAX_RULES_REDIRECTS if visit.rules_file else self._config.max_redirects
        if not head.header("location") or target is None:
            detail = f"HTTP {head.status} leads to no http URL"
            self._end(visit, Refusal(state=FetchState.BAD_URL, detail=detail), head=head)
        elif visit.num_redirects >= limit:
            detail = f"more than {limit} redirects"
            self._end(visit, Refusal(state=FetchState.TOO_MANY_REDIRECTS, detail=detail), head=head)
        elif refusal := self._refusal_of_redirect(visit, target):
            self._end(visit, refusal, head=head)
        else:
            self._admit(
                replace(
                    visit,
                    url=target,
                    host=host_of(target),
                    num_attempts=0,
                    num_redirects=visit.num_redirects + 1,
                    redirect=head,
                )
            )

    def _refusal_of_redirect(self, visit: _Visit, target: str) -> Refusal | None:
        if self._judge_redirect is None or visit.rules_file:
            return None
        return self._judge_redirect(visit.url, target)

    def _try_again(self, visit: _Visit, head: Head | None) -> bool:
        """Queue another attempt; return False when there is none left or the pause is too long."""
        if visit.num_attempts > self._config.num_retries:
            return False
        now = time.monotonic()
        pause = self._config.retry_seconds * 2 ** (visit.num_attempts - 1)
        asked = head.retry_after_seconds if head is not None else None
        if asked is not None:
            if asked > self._config.max_retry_seconds:
                return False
            pause = max(pause, asked)
            self._pace.hold(visit.host, until=now + asked)
        pause = min(pause, self._config.max_retry_seconds)
        heapq.heappush(self._later, (now + pause, next(self._numbers), visit))
        return True

    def _succeed(self, visit: _Visit, head: Head, body: bytes) -> None:
        if visit.rules_file:
            self._rules.learn_answer(visit.rules_file, head, body, now=time.monotonic())
            self._admit_waiting(visit.rules_file)
            return
        self._num_open -= 1
        self._ready.append(Response(url=visit.asked, head=head, body=body))

    def _end(
        self, visit: _Visit, refusal: Refusal, *, head: Head | None = None, body: bytes = b""
    ) -> None:
        if visit.rules_file:
            self._rules.learn_failure(visit.rules_file, refusal, head, now=time.monotonic())
            self._admit_waiting(visit.rules_file)
            return
        self._num_open -= 1
        self._ready.append(
            Failure(
                url=visit.asked,
                state=refusal.state,
                detail=refusal.detail,
                head=head or visit.redirect,
                body=body,
            )
        )

    def _admit_waiting(self, file: str) -> None:
        """Admit the addresses that waited for a file of rules, now that it has ended."""
        delay = self._rules.crawl_delay_of(origin_of(file))
        self._pace.slow_down(host_of(file), interval_seconds=delay)
        for waiting in self._awaiting_rules.pop(file, []):
            self._admit(waiting)

    def _abandon(self) -> None:
        """Drop all running and waiting requests, so that the next call starts clean."""
        for transfer, _ in self._active.values():
            self._reactor.remove(transfer.curl)
            self._idle.append(transfer)
        self._active.clear()
        self._pace.clear()
        self._awaiting_rules.clear()
        self._later.clear()
        self._doubtful.clear()
        self._ready.clear()
        self._num_open = 0
