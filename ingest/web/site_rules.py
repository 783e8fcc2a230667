"""What origins ask of their guests: which files say it, and what they say of a URL.

An origin has up to two such files, robots.txt and tdmrep.json. The second is asked for where the
first lets us ask for it and for something that it may reserve. What a file said holds for a day.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from openalign.files.states import FetchState
from openalign.ingest.web.answers import Head, Refusal
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import rules_without_answer
from openalign.ingest.web.robots import ROBOTS_PATH, HostRules, rules_from
from openalign.ingest.web.tdmrep import TDMREP_PATH, TdmRules, tdm_rules_from
from openalign.ingest.web.urls import origin_of

RULES_HOLD_SECONDS = 24 * 3600.0
"""How long a file is kept before it is asked for again (RFC 9309 2.4)."""

MAX_RULES_REDIRECTS = 5
"""Redirects that lead to a file, also to other hosts (RFC 9309 2.3.1.2)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    rules: T
    until: float


class SiteRules:
    """Keeps what the files of origins say. Times are seconds of a clock that only goes forward."""

    def __init__(self, config: WebConfig) -> None:
        self._respects_robots = config.respect_robots
        self._respects_opt_outs = config.respect_opt_outs
        self._asks_tdmrep = config.respect_opt_outs and config.ask_tdmrep
        self._robots: dict[str, _Kept[HostRules | Refusal]] = {}
        self._tdmrep: dict[str, _Kept[TdmRules]] = {}

    def file_before(self, url: str, now: float) -> str | None:
        """Return the file that must be asked for before a canonical URL may be, or None."""
        origin = origin_of(url)
        if self._respects_robots and not _holds(self._robots.get(origin), now):
            return origin + ROBOTS_PATH
        if not self._asks_tdmrep or _holds(self._tdmrep.get(origin), now):
            return None
        file = origin + TDMREP_PATH
        is_closed = self._refusal_by_robots(url) or self._refusal_by_robots(file)
        return None if is_closed else file

    def refusal_of(self, url: str) -> Refusal | None:
        """Return why a canonical URL must not be asked for, or None when it may be."""
        if refusal := self._refusal_by_robots(url):
            return refusal
        kept = self._tdmrep.get(origin_of(url))
        if kept is not None and kept.rules.reserve(url):
            return Refusal(state=FetchState.OPTED_OUT, detail="tdmrep.json: tdm-reservation: 1")
        return None

    def hold_until(self, url: str) -> float:
        """Return when what is known of a canonical URL's origin expires."""
        origin = origin_of(url)
        kept = (self._robots.get(origin), self._tdmrep.get(origin))
        return min((each.until for each in kept if each is not None), default=math.inf)

    def learn_answer(self, file: str, head: Head, body: bytes, *, now: float) -> None:
        """Keep what a file says."""
        if file.endswith(TDMREP_PATH):
            self._keep_tdmrep(file, tdm_rules_from(body), now)
        else:
            self._keep_robots(file, rules_from(head.status, body), now)

    def learn_failure(self, file: str, refusal: Refusal, head: Head | None, *, now: float) -> None:
        """Keep what follows from a file that is not there. A missing tdmrep.json reserves nothing.

        A robots.txt that cannot be reached after it once was still says what it said (RFC 9309
        2.4).
        """
        if file.endswith(TDMREP_PATH):
            self._keep_tdmrep(file, TdmRules([]), now)
            return
        rules = rules_without_answer(refusal, head)
        known = self._robots.get(origin_of(file))
        if known is not None and _is_unreachable(rules) and not _is_unreachable(known.rules):
            rules = known.rules
        self._keep_robots(file, rules, now)

    def crawl_delay_of(self, origin: str) -> float:
        """Return the seconds between two requests that an origin asks for."""
        rules = self._robots_of(origin)
        return rules.crawl_delay_seconds if isinstance(rules, HostRules) else 0.0

    def sitemaps_of(self, origin: str) -> list[str]:
        """Return the sitemaps that an origin's robots.txt names, once it has been asked for."""
        rules = self._robots_of(origin)
        return rules.sitemaps if isinstance(rules, HostRules) else []

    def _keep_robots(self, file: str, rules: HostRules | Refusal, now: float) -> None:
        self._robots[origin_of(file)] = _Kept(rules, now + RULES_HOLD_SECONDS)

    def _keep_tdmrep(self, file: str, rules: TdmRules, now: float) -> None:
        self._tdmrep[origin_of(file)] = _Kept(rules, now + RULES_HOLD_SECONDS)

    def _robots_of(self, origin: str) -> HostRules | Refusal | None:
        kept = self._robots.get(origin)
        return None if kept is None else kept.rules

    def _refusal_by_robots(self, url: str) -> Refusal | None:
        rules = self._robots_of(origin_of(url))
        if not isinstance(rules, HostRules):
            return rules
        if reason := rules.reason_against(url):
            return Refusal(state=FetchState.ROBOTS_DENIED, detail=reason)
        if self._respects_opt_outs and (record := rules.reservation_of(url)):
            return Refusal(state=FetchState.OPTED_OUT, detail=f"robots.txt: {record}")
        return None


def _holds(kept: _Kept[T] | None, now: float) -> bool:
    return kept is not None and now < kept.until


def _is_unreachable(rules: HostRules | Refusal) -> bool:
    return isinstance(rules, Refusal) or bool(rules.refusal)
