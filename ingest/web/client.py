"""The polite web client of crawl and fetch: URLs in, answers or reasons out.

The client checks every URL before it sends a request, redirects included: first the rules of its
origin (`site_rules`), then, after DNS, the IP address. Each host has a limit on its rate and
connections. Every wait has a deadline. Temporary failures are tried again.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from openalign.files.states import FetchState
from openalign.ingest.web.addresses import names_private_address, parse_networks
from openalign.ingest.web.answers import REDIRECTS, BodyRule, Ending, Head, Refusal
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.host_limits import LimitsByHost
from openalign.ingest.web.outages import Machine, Outages, outage_error
from openalign.ingest.web.outcomes import Failure, Outcome, Response, refusal_of_status
from openalign.ingest.web.pace import Pace
from openalign.ingest.web.quiet import Quiet, TellHosts, tell_nobody
from openalign.ingest.web.rules.robots import MAX_ROBOTS_BYTES
from openalign.ingest.web.rules.site_rules import MAX_RULES_REDIRECTS, SiteRules
from openalign.ingest.web.standing import OUT_OF_BUDGET, Standing
from openalign.ingest.web.transfers.connections import Connections, Request
from openalign.ingest.web.urls import canonical_url, has_bad_port, host_of, origin_of
from openalign.ingest.web.visits import Visit

MAX_HELD_BYTES = 512_000_000
"""No request starts while bodies in memory exceed this; running transfers continue."""

_LONGEST_WAIT_SECONDS = 1.0
_SCAN_SECONDS = 0.1
_TURN_SECONDS = 0.001


class WebClient:
    """Asks for many addresses at once; keeps connections and robots.txt rules between calls."""

    def __init__(
        self,
        config: WebConfig,
        *,
        accept: str,
        body: BodyRule,
        judge_redirect: Callable[[str, str], Refusal | None] | None = None,
        max_held_bytes: int = MAX_HELD_BYTES,
        owners_of: Callable[[str], int] = lambda _: 1,
        tell_waits: TellHosts = tell_nobody,
    ) -> None:
        """Make a client; it opens no connection yet.

        `owners_of` tells among how many clients a host is shared; `tell_waits` is told which hosts
        are waited for while nothing ends.

        Raises:
            InputError: the certificates that are to be trusted cannot be read.
        """
        self._config = config
        self._allowed = parse_networks(config.allowed_networks)
        self._judge_redirect = judge_redirect
        self._body = self._asked_body = body
        # A byte more than is read tells whether the file goes on.
        self._rules_body = BodyRule(max_bytes=MAX_ROBOTS_BYTES + 1, cut=True)
        self._connections: Connections[Visit] = Connections(
            config, accept=accept, max_held_bytes=max_held_bytes
        )
        self._limits = LimitsByHost(config, owners_of)
        self._pace: Pace[Visit] = Pace(self._limits.of)
        self._standing = Standing(self._limits.of)
        self._rules = SiteRules(config)
        self._awaiting_rules: dict[str, list[Visit]] = defaultdict(list)
        self._outages = Outages(config.connect_to, Machine(config.dns.servers), proxy=config.proxy)
        self._doubtful: list[tuple[Future[str | None], Visit, Ending]] = []
        self._ready: deque[Outcome] = deque()
        self._num_open = 0
        self._next_turn = 0.0
        self._quiet = Quiet(tell_waits)

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
        self._connections.close()

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
            self._admit(Visit(asked=url, url=url, host=host_of(url)))

    def take(self) -> Outcome | None:
        """Return an outcome, in the order in which they end; None when no address is open.

        Raises:
            StageError: the cause is this machine and not the host: see `outages`.
        """
        while self._num_open or self._ready:
            # A caller that is quick is given all that is ready before the network is looked at.
            if not self._ready or time.monotonic() >= self._next_turn:
                self._turn()
                self._next_turn = time.monotonic() + _TURN_SECONDS
            if self._ready:
                outcome = self._ready.popleft()
                self._connections.held.num -= len(outcome.body)
                return outcome
        return None

    def sitemaps_of(self, origin: str) -> list[str]:
        """Return the sitemaps that an origin's robots.txt names, once it has been asked for."""
        return self._rules.sitemaps_of(origin)

    def _turn(self) -> None:
        now = time.monotonic()
        for host in self._pace.overdrawn(now):
            self._close(host, OUT_OF_BUDGET)
        self._start_due(now)
        endings = self._connections.turn(0.0 if self._ready else self._wait_seconds(now))
        # All are released first, because an outage in one of them ends the loop.
        now = time.monotonic()
        for visit, _ in endings:
            self._pace.release(visit.host, now=now)
        for visit, ending in endings:
            self._judge(visit, ending)
        self._settle_doubtful()
        self._quiet.note(has_ended=bool(self._ready), hosts=self._pace.busy_hosts)

    def _wait_seconds(self, now: float) -> float:
        due = self._pace.next_due() if self._has_room() else None
        times = [time for time in (due, self._connections.next_scan) if time is not None]
        if self._doubtful:
            times.append(now + _SCAN_SECONDS)
        assert times, "addresses are open, but nothing is under way for them"
        return min(_LONGEST_WAIT_SECONDS, max(0.0, min(times) - now))

    def _has_room(self) -> bool:
        return self._connections.has_room() and len(self._ready) < self._config.connections

    def _start_due(self, now: float) -> None:
        while self._has_room() and (due := self._pace.take(now)) is not None:
            visit = due if due.rules_until > now else self._judged(due)
            if visit is None:
                self._pace.release(due.host, now=now)
                continue
            visit.num_attempts += 1
            request = Request(
                url=visit.url,
                rule=self._rules_body if visit.rules_file else self._asked_body,
                judge_opt_out=self._config.respect_opt_outs and not visit.rules_file,
                on_new_connection=visit.on_new_connection,
            )
            self._connections.start(visit, request, now=now)

    # The steps of an address ---------------------------------------------------------------------

    def _admit(self, visit: Visit) -> None:
        """Queue an address, once the rules of its origin are known and allow it."""
        if refusal := self._standing.closed(visit.host) or self._refusal_of(visit.url):
            self._end(visit, refusal)
        elif (judged := self._judged(visit)) is not None:
            self._enqueue(judged)

    def _judged(self, visit: Visit) -> Visit | None:
        """Return an address that the rules of its origin allow.

        If they are not known it waits, and the file that says them is returned, once. None: the
        file is under way already, or the rules refuse the address, which ends it.
        """
        if visit.rules_file:
            return visit
        if file := self._rules.file_before(visit.url, time.monotonic()):
            waiting = self._awaiting_rules[file]
            waiting.append(visit)
            first = Visit(asked="", url=file, host=visit.host, rules_file=file)
            return first if len(waiting) == 1 else None
        if refusal := self._rules.refusal_of(visit.url):
            self._end(visit, refusal)
            return None
        visit.rules_until = self._rules.hold_until(visit.url)
        return visit

    def _enqueue(self, visit: Visit) -> None:
        self._pace.put(visit.host, visit, now=time.monotonic())

    def _refusal_of(self, url: str) -> Refusal | None:
        """Return why an address is not asked for, as far as it tells that itself."""
        if has_bad_port(url):
            return Refusal(state=FetchState.BAD_URL, detail="its port belongs to another service")
        if not self._config.proxy:
            return None
        host = host_of(url)
        if host in self._config.connect_to or not names_private_address(host, self._allowed):
            return None
        return Refusal(state=FetchState.PRIVATE_ADDRESS, detail=f"{host} is not a public address")

    def _judge(self, visit: Visit, ended: Ending) -> None:
        """Conclude answers and failures of a host; retry after an outage of this machine."""
        if ended.head is not None:
            self._outages.note_answer(visit.host, ended.address)
        is_over = visit.on_new_connection or self._standing.closed(visit.host) is not None
        if ended.is_stale and not is_over:
            self._ask_anew(visit)
        elif ended.trouble is None:
            self._conclude(visit, ended)
        elif self._outages.shortage(ended.trouble) and self._connections.make_do():
            self._put_back(visit)
        elif (what := self._outages.judge(visit.host, ended.trouble)) is not None:
            self._endure(visit, what)
        elif self._outages.is_doubtful(visit.host, ended.trouble):
            self._doubtful.append((self._outages.judge_name(visit.host), visit, ended))
        else:
            self._conclude(visit, ended)

    def _ask_anew(self, visit: Visit) -> None:
        """Ask on a new connection, because of what the last answer left of this one.

        A body that is longer than it says leaves bytes behind, and a server may hang up behind an
        answer. What of that comes late stands in the place of the next answer, whose address has
        nothing to do with it.
        """
        visit.on_new_connection = True
        self._put_back(visit)

    def _put_back(self, visit: Visit) -> None:
        """Queue an address whose last attempt does not count."""
        visit.num_attempts -= 1
        now = time.monotonic()
        self._pace.delay(visit.host, visit, until=now + _SCAN_SECONDS, now=now)

    def _settle_doubtful(self) -> None:
        """Conclude the failures whose name lookup has ended."""
        told = [entry for entry in self._doubtful if entry[0].done()]
        self._doubtful = [entry for entry in self._doubtful if not entry[0].done()]
        for verdict, visit, ended in told:
            if (what := verdict.result()) is not None:
                self._endure(visit, what)
            else:
                self._conclude(visit, ended)

    def _endure(self, visit: Visit, what: str) -> None:
        """Try again after an outage of this machine, which does not count against the host.

        Raises:
            StageError: there is no attempt left.
        """
        if not self._try_again(visit):
            raise outage_error(what)

    def _conclude(self, visit: Visit, ended: Ending) -> None:
        head, refusal = ended.head, ended.refusal
        self._note(visit.host, ended)
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
        if can_heal and self._try_again(visit):
            return
        self._end(visit, refusal, head=head, body=ended.body if ended.refusal is not None else b"")

    def _note(self, host: str, ended: Ending) -> None:
        """Hold or close a host as its answer says."""
        if ended.closes_host and ended.refusal is not None:
            self._close(host, ended.refusal)
            return
        seconds = self._standing.note(host, ended.head, ended.refusal)
        if (why := self._standing.closed(host)) is not None:
            self._close(host, why)
        elif seconds:
            now = time.monotonic()
            self._pace.hold(host, until=now + seconds, now=now)

    def _close(self, host: str, why: Refusal) -> None:
        """End all that waits for a host; what comes in later ends at once."""
        self._standing.close(host, why)
        for visit in self._pace.expel(host, now=time.monotonic()):
            self._end(visit, why)

    def _redirect(self, visit: Visit, head: Head) -> None:
        target = canonical_url(head.location, head.url) if head.location else None
        limit = MAX_RULES_REDIRECTS if visit.rules_file else self._config.max_redirects
        if target is None:
            where = "leads to no http URL" if head.location else "has no Location"
            detail = f"HTTP {head.status} {where}"
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
                    on_new_connection=False,
                    num_redirects=visit.num_redirects + 1,
                    redirect=head,
                )
            )

    def _refusal_of_redirect(self, visit: Visit, target: str) -> Refusal | None:
        if self._judge_redirect is None or visit.rules_file:
            return None
        return self._judge_redirect(visit.url, target)

    def _try_again(self, visit: Visit) -> bool:
        """Queue another attempt; return False when there is none left."""
        if visit.num_attempts > self._config.num_retries or self._standing.closed(visit.host):
            return False
        now = time.monotonic()
        pause = self._config.retry_seconds * 2 ** (visit.num_attempts - 1)
        pause = min(pause, self._limits.of(visit.host).max_retry_seconds)
        self._pace.delay(visit.host, visit, until=now + pause, now=now)
        return True

    def _succeed(self, visit: Visit, head: Head, body: bytes) -> None:
        if visit.rules_file:
            self._rules.learn_answer(visit.rules_file, head, body, now=time.monotonic())
            self._admit_waiting(visit.rules_file)
            return
        self._give(Response(url=visit.asked, head=head, body=body))

    def _end(
        self, visit: Visit, refusal: Refusal, *, head: Head | None = None, body: bytes = b""
    ) -> None:
        if visit.rules_file:
            self._rules.learn_failure(visit.rules_file, refusal, head, now=time.monotonic())
            self._admit_waiting(visit.rules_file)
            return
        self._give(
            Failure(
                url=visit.asked,
                state=refusal.state,
                detail=refusal.detail,
                head=head or visit.redirect,
                body=body,
            )
        )

    def _give(self, outcome: Outcome) -> None:
        self._num_open -= 1
        self._connections.held.num += len(outcome.body)
        self._ready.append(outcome)

    def _admit_waiting(self, file: str) -> None:
        """Admit the addresses that waited for a file of rules, now that it has ended."""
        delay = self._rules.crawl_delay_of(origin_of(file))
        self._pace.slow_down(host_of(file), interval_seconds=delay)
        for waiting in self._awaiting_rules.pop(file, []):
            self._admit(waiting)

    def _abandon(self) -> None:
        """Drop all running and waiting requests, so that the next call starts clean."""
        self._connections.abandon()
        self._connections.held.num = 0
        self._pace.clear(now=time.monotonic())
        self._awaiting_rules.clear()
        self._doubtful.clear()
        self._ready.clear()
        self._num_open = 0
