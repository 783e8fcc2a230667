"""The crawl of one host from its seeds, breadth first. The order of answers makes no difference.

The pages of one depth are asked for in the order of their URLs, in chunks. A finished chunk is
written to the work folder in one step. A crawl that was killed reads its chunks back and resumes
after them. Every page that the crawl finds ends in a `PageState`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import apache_beam as beam
import msgspec
from apache_beam.pvalue import PCollection

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.states import FetchState, PageState
from openalign.ingest.candidates import FOUND, Harvested, candidate_row, to_batch
from openalign.ingest.page_verdict import HTML, XHTML, judge_page
from openalign.ingest.sources.contract import ReadingSetup
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import Failure, Outcome
from openalign.ingest.web.transfer import BodyRule, Glance, Head, Refusal
from openalign.ingest.web.urls import canonical_url, host_of
from openalign.ingest.webpage.page import PageContent

CHUNK_PAGES = 64
"""At most so many pages are asked for again after a crawl was killed."""

_STATES: dict[str, PageState] = {
    FetchState.ROBOTS_DENIED: PageState.ROBOTS_DENIED,
    FetchState.OPTED_OUT: PageState.ROBOTS_DENIED,
    FetchState.HTTP_GONE: PageState.HTTP_ERROR,
    FetchState.HTTP_CLIENT_ERROR: PageState.HTTP_ERROR,
    FetchState.HTTP_SERVER_ERROR: PageState.HTTP_ERROR,
    FetchState.TOO_MANY_REDIRECTS: PageState.HTTP_ERROR,
    FetchState.BAD_URL: PageState.HTTP_ERROR,
}
"""Any other failure makes a page unreachable."""


@dataclass(slots=True, kw_only=True)
class _Chunk:
    """What a few pages gave; the work folder keeps it as JSON."""

    urls: list[str]
    num_asked: int = 0
    """Pages that count against the budget: all but those that robots.txt refuses."""

    pages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    candidates: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    links: list[str] = field(default_factory=list[str])


_CHUNK = msgspec.json.Decoder(_Chunk)


@dataclass
class Crawl(beam.PTransform[Any, Any]):
    """Crawl every seed's host; a host is crawled by one worker."""

    source: SiteSource
    setup: ReadingSetup

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the crawl."""
        pieces: Any = (
            pipeline
            | "Seeds" >> beam.Create(seeds_by_host(self.source), reshuffle=False)
            | "Own" >> beam.GroupByKey()
            | "Crawl" >> beam.FlatMapTuple(self._crawl)
        )
        return pieces

    def _crawl(self, host: str, seeds: Iterable[str]) -> Iterator[Harvested]:
        return crawl_host(host, list(seeds), source=self.source, setup=self.setup)


def seeds_by_host(source: SiteSource) -> list[tuple[str, str]]:
    """Return each seed's canonical URL with its host, each once.

    Raises:
        InputError: a seed is not a URL.
    """
    urls: set[str] = set()
    for seed in source.seeds:
        url = canonical_url(seed)
        if url is None:
            raise InputError(f"{seed} is not a URL", hint="mend `harvest.source.seeds`")
        urls.add(url)
    return [(host_of(url), url) for url in sorted(urls)]


def crawl_host(
    host: str, seeds: Sequence[str], *, source: SiteSource, setup: ReadingSetup
) -> Iterator[Harvested]:
    """Yield what each chunk of a host's pages holds, the seeds' first.

    Raises:
        StageError: the job has ended, or this machine cannot reach anything; no chunk is written.
    """
    folder = storage.join(setup.work, "crawl", quote(host, safe=""))
    level = sorted(set(seeds))
    seen = set(level)
    budget = source.max_pages
    with _web_client(source, setup.web) as client:
        for depth in range(source.max_depth + 1):
            links: set[str] = set()
            start = 0
            while start < len(level) and budget > 0:
                urls = level[start : start + min(CHUNK_PAGES, budget)]
                url = storage.join(folder, f"{depth:05d}-{start:08d}.json")
                chunk = _read_chunk(url, urls) or _crawl_chunk(
                    client, url, urls, depth=depth, host=host, source=source, setup=setup
                )
                start += len(urls)
                budget -= chunk.num_asked
                links.update(chunk.links)
                yield _harvested(chunk)
            yield _harvested(_out_of_budget(level[start:], depth))
            level = sorted(links - seen)
            seen.update(level)
    yield _harvested(_out_of_budget(level, source.max_depth + 1))


def _web_client(source: SiteSource, web: WebConfig) -> WebClient:
    # A byte more than is read tells whether a page goes on.
    body = BodyRule(max_bytes=source.max_page_bytes + 1, cut=True, look=_look)
    return WebClient(web, accept=f"{HTML},{XHTML}", body=body, judge_redirect=_judge_redirect)


def _look(head: Head, body: bytes) -> Glance | Refusal:
    """Accept answers declared as HTML, and undeclared ones that look like it."""
    kind = head.content_type
    if kind in (HTML, XHTML):
        return Glance.TAKE
    if kind is None and body.lstrip()[:1] in (b"<", b""):
        return Glance.TAKE
    return Refusal(state=PageState.NOT_HTML, detail=f"content type {kind}")


def _judge_redirect(url: str, target: str) -> Refusal | None:
    """Refuse redirects to another host: it may have another owner."""
    if host_of(url) == host_of(target):
        return None
    return Refusal(state=PageState.HTTP_ERROR, detail="redirects to another host")


def _read_chunk(url: str, urls: Sequence[str]) -> _Chunk | None:
    """Return a chunk that an earlier run finished, or None when it is one of other pages."""
    if not storage.exists(url):
        return None
    chunk = _CHUNK.decode(storage.read_bytes(url))
    return chunk if chunk.urls == list(urls) else None


def _crawl_chunk(
    client: WebClient,
    url: str,
    urls: Sequence[str],
    *,
    depth: int,
    host: str,
    source: SiteSource,
    setup: ReadingSetup,
) -> _Chunk:
    chunk = _Chunk(urls=list(urls))
    dropped: Counter[str] = Counter()
    links: set[str] = set()
    # A body is freed once it is parsed; rows are sorted at the end of the chunk.
    judge = partial(_judge, setup=setup, max_bytes=source.max_page_bytes)
    add = partial(_add_page, chunk, dropped, links, depth=depth, judge=judge)
    for outcome in client.ask(urls):
        add(outcome)
    chunk.pages.sort(key=lambda page: page["page_url"])
    chunk.candidates.sort(key=lambda row: (row["page_url"], row["key"], row["found_in"]))
    chunk.dropped = dict(dropped)
    chunk.links = sorted(link for link in links if host_of(link) == host)
    setup.attempt.require()
    storage.write_text(url, canonical_json(chunk))
    return chunk


def _add_page(
    chunk: _Chunk,
    dropped: Counter[str],
    links: set[str],
    outcome: Outcome,
    *,
    depth: int,
    judge: Callable[[Outcome], tuple[PageState, PageContent | None]],
) -> None:
    state, page = judge(outcome)
    chunk.num_asked += not _was_never_asked(outcome)
    chunk.pages.append(
        {
            "page_url": outcome.url,
            "final_url": outcome.head.url if outcome.head is not None else None,
            "depth": depth,
            "state": state.value,
            "http_status": outcome.head.status if outcome.head is not None else None,
            "num_candidates": len(page.pairs) if page is not None else 0,
        }
    )
    if page is None:
        return
    assert outcome.head is not None
    dropped.update(page.dropped)
    links.update(page.links)
    chunk.candidates += [
        candidate_row(
            image_url=pair.image_url,
            alt_text=pair.alt_text,
            found_in=pair.found_in,
            raw_image_url=pair.raw_image_url,
            page_url=outcome.head.url,
            page_language=pair.language,
            address_from=pair.address_from,
        )
        for pair in page.pairs
    ]


def _was_never_asked(outcome: Outcome) -> bool:
    """Tell whether robots.txt refused a page itself; a redirect to a refused page was asked for."""
    is_denied = isinstance(outcome, Failure) and outcome.state is FetchState.ROBOTS_DENIED
    return is_denied and outcome.head is None


def _judge(
    outcome: Outcome, *, setup: ReadingSetup, max_bytes: int
) -> tuple[PageState, PageContent | None]:
    if isinstance(outcome, Failure):
        if isinstance(outcome.state, PageState):
            return outcome.state, None
        return _STATES.get(outcome.state, PageState.UNREACHABLE), None
    head = outcome.head
    if isinstance(_look(head, outcome.body), Refusal):  # an empty body
        return PageState.NOT_HTML, None
    return judge_page(
        outcome.body,
        url=head.url,
        headers=head.headers,
        content_type=head.content_type,
        charset=head.charset,
        texts=setup.texts,
        web=setup.web,
        max_bytes=max_bytes,
    )


def _out_of_budget(urls: Sequence[str], depth: int) -> _Chunk:
    pages = [
        {
            "page_url": url,
            "final_url": None,
            "depth": depth,
            "state": PageState.OUT_OF_BUDGET.value,
            "http_status": None,
            "num_candidates": 0,
        }
        for url in urls
    ]
    return _Chunk(urls=list(urls), pages=pages)


def _harvested(chunk: _Chunk) -> Harvested:
    counts = Counter(chunk.dropped)
    counts[FOUND] = len(chunk.candidates) + sum(chunk.dropped.values())
    return Harvested(candidates=to_batch(chunk.candidates), counts=counts, pages=chunk.pages)
