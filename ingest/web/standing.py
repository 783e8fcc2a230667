"""What the answers of hosts say about asking them again: not now, or not at all in this run."""

import math
from collections.abc import Callable

from openalign.files.states import FetchState
from openalign.ingest.web.answers import Head, Refusal, is_temporary
from openalign.ingest.web.host_limits import HostLimits

OUT_OF_BUDGET = Refusal(state=FetchState.OUT_OF_BUDGET, detail="the host has taken all of its time")
_ASKED_TO_WAIT = Refusal(
    state=FetchState.ASKED_TO_WAIT, detail="the host asks for a longer pause than is kept"
)
_UNREACHABLE = {
    state: Refusal(state=state, detail="the host did not answer many requests before")
    for state in (FetchState.CONNECT_FAILURE, FetchState.DNS_FAILURE, FetchState.TIMEOUT)
}
"""Failures that cost time at each attempt; the others come at once."""


class Standing:
    """Remembers why hosts are closed, and how many failures in a row the others had."""

    def __init__(self, limits_of: Callable[[str], HostLimits]) -> None:
        self._limits_of = limits_of
        self._closed: dict[str, Refusal] = {}
        self._failures_in_a_row: dict[str, int] = {}

    def closed(self, host: str) -> Refusal | None:
        """Return why a host is not asked any more, or None."""
        return self._closed.get(host)

    def close(self, host: str, why: Refusal) -> None:
        """Close a host for the rest of the run; the first reason stays."""
        self._closed.setdefault(host, why)
        self._failures_in_a_row.pop(host, None)

    def note(self, host: str, head: Head | None, refusal: Refusal | None) -> float:
        """Judge a host by the end of a request; return the seconds for which it is left alone.

        They are infinite for a host that this closes.
        """
        seconds = _pause(head)
        if seconds > self._limits_of(host).max_retry_seconds:
            self.close(host, _ASKED_TO_WAIT)
        elif refusal is None or refusal.state not in _UNREACHABLE:
            self._failures_in_a_row.pop(host, None)
        else:
            count = self._failures_in_a_row.get(host, 0) + 1
            self._failures_in_a_row[host] = count
            if count >= self._limits_of(host).host_failures:
                self.close(host, _UNREACHABLE[FetchState(refusal.state)])
        return math.inf if host in self._closed else seconds


def _pause(head: Head | None) -> float:
    """Return how long a host that cannot serve asks to be left alone, in seconds."""
    if head is None or not (is_temporary(head.status) or head.status >= 600):
        return 0.0
    return head.retry_after_seconds or 0.0
