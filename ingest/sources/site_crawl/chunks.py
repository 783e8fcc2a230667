"""Chunks of a crawl: what a few addresses gave, kept in the work folder until the harvest ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.states import FetchState, PageState
from openalign.ingest.sources.contract import ReadingSetup
from openalign.ingest.web.outcomes import Failure, Outcome

_STATES: dict[str, PageState] = {
    FetchState.ROBOTS_DENIED: PageState.ROBOTS_DENIED,
    FetchState.OPTED_OUT: PageState.ROBOTS_DENIED,
    FetchState.HTTP_GONE: PageState.HTTP_ERROR,
    FetchState.HTTP_CLIENT_ERROR: PageState.HTTP_ERROR,
    FetchState.HTTP_SERVER_ERROR: PageState.HTTP_ERROR,
    FetchState.HTTP_UNEXPECTED: PageState.HTTP_ERROR,
    FetchState.HEADER_TOO_LARGE: PageState.HTTP_ERROR,
    FetchState.ASKED_TO_WAIT: PageState.ASKED_TO_WAIT,
    FetchState.OUT_OF_BUDGET: PageState.OUT_OF_BUDGET,
    FetchState.TOO_MANY_REDIRECTS: PageState.HTTP_ERROR,
    FetchState.BAD_URL: PageState.HTTP_ERROR,
}
"""Any other failure makes a page unreachable."""


@dataclass(slots=True, kw_only=True)
class CrawlChunk:
    """What a few pages, or a sitemap, gave; the work folder keeps it as JSON."""

    urls: list[str]
    num_asked: int = 0
    """Pages that count against the budget: all but those that robots.txt refuses."""

    pages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    candidates: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    links: list[str] = field(default_factory=list[str])
    """Pages of the site that it leads to, sorted."""

    left_out: list[str] = field(default_factory=list[str])
    """Likewise, those that a setting leaves out."""

    sitemaps: list[str] = field(default_factory=list[str])
    """The sitemaps that a sitemap, or the robots.txt before it, names."""


_CHUNK = msgspec.json.Decoder(CrawlChunk)


def read_chunk(url: str, urls: Sequence[str]) -> CrawlChunk | None:
    """Return a chunk that an earlier run finished, or None when it is one of other addresses."""
    if not storage.exists(url):
        return None
    chunk = _CHUNK.decode(storage.read_bytes(url))
    return chunk if chunk.urls == list(urls) else None


def write_chunk(url: str, chunk: CrawlChunk, *, setup: ReadingSetup) -> None:
    """Keep a finished chunk, in one step.

    Raises:
        StageError: the job has ended.
    """
    setup.attempt.require()
    storage.write_text(url, canonical_json(chunk))


def unasked(urls: Sequence[str], depth: int | None, state: PageState) -> CrawlChunk:
    """Return a chunk of addresses that are not asked for."""
    pages = [page_row(url, depth=depth, state=state) for url in urls]
    return CrawlChunk(urls=list(urls), pages=pages)


def asked_row(
    outcome: Outcome, *, depth: int | None, state: PageState, num_candidates: int = 0
) -> dict[str, Any]:
    """Return the row of an address that was asked for."""
    head = outcome.head
    return page_row(
        outcome.url,
        depth=depth,
        state=state,
        final_url=head.url if head is not None else None,
        http_status=head.status if head is not None else None,
        num_candidates=num_candidates,
    )


def page_row(
    url: str,
    *,
    depth: int | None,
    state: PageState,
    final_url: str | None = None,
    http_status: int | None = None,
    num_candidates: int = 0,
) -> dict[str, Any]:
    """Return a row of `schemas.PAGE`."""
    return {
        "page_url": url,
        "final_url": final_url,
        "depth": depth,
        "state": state.value,
        "http_status": http_status,
        "num_candidates": num_candidates,
    }


def state_of_failure(failure: Failure) -> PageState:
    """Return how a page without a usable answer ends."""
    if isinstance(failure.state, PageState):
        return failure.state
    return _STATES.get(failure.state, PageState.UNREACHABLE)
