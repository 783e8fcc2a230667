"""What asking for an address comes to: a whole answer, or why there is none that is wanted."""

from dataclasses import dataclass
from enum import StrEnum

from openalign.files.states import FetchState
from openalign.ingest.web.transfer import Head, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer with a status of 2xx."""

    url: str
    """The address that was asked for."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an address gave no answer that is wanted."""

    url: str
    """The address that was asked for."""

    state: StrEnum
    """A `FetchState`, or what the `look` of the caller gave."""

    detail: str
    head: Head | None = None
    """The last answer, where there was one; None for what was never asked for."""

    body: bytes = b""
    """What had come in when a look refused it."""


Outcome = Response | Failure


def refusal_of_status(status: int) -> Refusal:
    """Return what a status says that is neither 2xx nor a redirect."""
    if status in (404, 410):
        state = FetchState.HTTP_GONE
    elif status == 429 or status >= 500:
        state = FetchState.HTTP_SERVER_ERROR
    else:
        state = FetchState.HTTP_CLIENT_ERROR
    return Refusal(state=state, detail=f"HTTP {status}")
