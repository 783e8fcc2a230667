"""The outcome of a request: a whole answer, or the reason for a failure."""

from dataclasses import dataclass
from enum import StrEnum

from openalign.files.states import FetchState
from openalign.ingest.web.answers import Head, Refusal, is_temporary


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
    elif is_temporary(status):
        state = FetchState.HTTP_SERVER_ERROR
    elif 400 <= status < 500:
        state = FetchState.HTTP_CLIENT_ERROR
    else:
        state = FetchState.HTTP_UNEXPECTED
    return Refusal(state=state, detail=f"HTTP {status}")
