"""The outcome of a request: a whole answer, or the reason for a failure."""

from dataclasses import dataclass
from enum import StrEnum

from openalign.files.states import FetchState
from openalign.ingest.web.answers import Head, Refusal
from openalign.ingest.web.robots import HostRules, rules_from

_OF_STATUS = frozenset(
    {
        FetchState.HTTP_GONE,
        FetchState.HTTP_CLIENT_ERROR,
        FetchState.HTTP_SERVER_ERROR,
        FetchState.HTTP_UNEXPECTED,
    }
)
"""What `refusal_of_status` makes of a whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete answer with a status of 2xx."""

    url: str
    """The address that was asked for."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason why a URL gave no usable answer."""

    url: str
    """The address that was asked for."""

    state: StrEnum
    """A `FetchState`, or the state that the caller's `look` returned."""

    detail: str
    head: Head | None = None
    """The last answer; None if there was none."""

    body: bytes = b""
    """The bytes that had arrived when a look refused them."""


Outcome = Response | Failure


def refusal_of_status(status: int) -> Refusal:
    """Return the refusal for a status that is neither 2xx nor a redirect."""
    if status in (404, 410):
        state = FetchState.HTTP_GONE
    elif status == 429 or status >= 500:
        state = FetchState.HTTP_SERVER_ERROR
    elif status < 400:
        state = FetchState.HTTP_UNEXPECTED
    else:
        state = FetchState.HTTP_CLIENT_ERROR
    return Refusal(state=state, detail=f"HTTP {status}")


def rules_without_answer(refusal: Refusal, head: Head | None) -> HostRules | Refusal:
    """Return the rules that follow from a failed request for robots.txt (RFC 9309 2.3.1).

    The URLs of an unreachable host end with the reason of that failure, not as `robots_denied`.
    Too many redirects count as unavailable.
    """
    if refusal.state in (FetchState.TOO_MANY_REDIRECTS, FetchState.BAD_URL):
        return rules_from(404, b"")
    if head is not None and refusal.state in _OF_STATUS:
        return rules_from(head.status, b"")
    return Refusal(state=refusal.state, detail=f"robots.txt: {refusal.detail}")
