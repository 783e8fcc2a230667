"""The crawl of one site from its seeds, breadth first. The order of answers makes no difference.

The pages of one depth are asked for in the order of their URLs, in chunks. A finished chunk is
written to the work folder in one step. A crawl that was killed reads its chunks back and resumes
after them. Every page of the site that the crawl finds ends in a `PageState`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import apache_beam as beam
from apache_beam.pvalue import PCollection

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.states import FetchState, PageState
from openalign.ingest.candidates import FOUND, Harvested, candidate_row, to_batch
from openalign.ingest.page_verdict import HTML, XHTML, judge_page
from openalign.ingest.sources.contract import ReadingSetup
from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.sources.site_crawl.chunks import (
    CrawlChunk,
    asked_row,
    read_chunk,
    state_of_failure,
    unasked,
    write_chunk,
)
from openalign.ingest.sources.site_crawl.scope import Place, Scope, outermost, site_of
from openalign.ingest.sources.site_crawl.sitemaps import Sitemaps
from openalign.ingest.web.answers import BodyRule, Glance, Head, Refusal
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import Failure, Outcome
from openalign.ingest.web.urls import canonical_url, host_of
from openalign.ingest.webpage.page import PageContent

CHUNK_PAGES = 64
"""At most so many pages are asked for again after a crawl was killed."""

_ACCEPT = f"{HTML},{XHTML},application/xml;q=0.5,text/plain;q=0.5"


@dataclass
class Crawl(beam.PTransform[Any, Any]):
    """Crawl every seed's site; a site is crawled by one worker."""

    source: SiteSource
    setup: ReadingSetup

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the crawl."""
        pieces: Any = (
            pipeline
            | "Seeds" >> beam.Create(seeds_by_site(self.source), reshuffle=False)
            | "Own" >> beam.GroupByKey()
            | "Crawl" >> beam.FlatMapTuple(self._crawl)
        )
        return pieces

    def _crawl(self, site: str, seeds: Iterable[str]) -> Iterator[Harvested]:
        return crawl_site(site, list(seeds), source=self.source, setup=self.setup)


def seeds_by_site(source: SiteSource) -> list[tuple[str, str]]:
    """Return each seed's canonical URL with its site, each once.

    Raises:
        InputError: a seed is not a URL.
    """
    urls: set[str] = set()
    for seed in source.seeds:
        url = canonical_url(seed)
        if url is None:
            raise InputError(f"{seed} is not a URL", hint="mend `harvest.source.seeds`")
        urls.add(url)
    sites = {url: site_of(host_of(url), source) for url in urls}
    owners = outermost(sites.values(), source)
    return [(owners[sites[url]], url) for url in sorted(urls)]


def crawl_site(
    site: str, seeds: Sequence[str], *, source: SiteSource, setup: ReadingSetup
) -> Iterator[Harvested]:
    """Yield what each chunk of a site's pages holds, the seeds' first.

    Raises:
        StageError: the job has ended, or this machine cannot reach anything; no chunk is written.
    """
    for chunk in _chunks(site, seeds, source=source, setup=setup):
        if chunk.pages:
            yield _harvested(chunk, site)


def _chunks(
    site: str, seeds: Sequence[str], *, source: SiteSource, setup: ReadingSetup
) -> Iterator[CrawlChunk]:
    folder = storage.join(setup.work, "crawl", quote(site, safe=""))
    scope = Scope(site, source)
    level = sorted(set(seeds))
    seen = set(level)
    budget = source.max_pages
    with _web_client(source, setup.web, scope) as client:
        sitemaps = Sitemaps(client=client, scope=scope, setup=setup, folder=folder)
        for depth in range(source.max_depth + 1):
            links: set[str] = set()
            left_out: set[str] = set()
            start = 0
            while start < len(level) and budget > 0:
                urls = level[start : start + min(CHUNK_PAGES, budget)]
                url = storage.join(folder, f"{depth:05d}-{start:08d}.json")
                chunk = read_chunk(url, urls)
                if chunk is None:
                    chunk = _crawl_chunk(
                        client, urls, depth=depth, scope=scope, source=source, setup=setup
                    )
                    write_chunk(url, chunk, setup=setup)
                start += len(urls)
                budget -= chunk.num_asked
                links.update(chunk.links)
                left_out.update(chunk.left_out)
                yield chunk
            yield unasked(level[start:], depth, PageState.OUT_OF_BUDGET)
            if depth == 0 and source.sitemaps and source.max_depth > 0:
                for chunk in sitemaps.chunks(seeds, max_pages=budget):
                    links.update(chunk.links)
                    left_out.update(chunk.left_out)
                    yield chunk
            level = sorted(links - seen)
            seen.update(level)
            left_out -= seen
            seen.update(left_out)
            yield unasked(sorted(left_out), depth + 1, PageState.OUT_OF_SCOPE)
    yield unasked(level, source.max_depth + 1, PageState.OUT_OF_BUDGET)


def _web_client(source: SiteSource, web: WebConfig, scope: Scope) -> WebClient:
    # A byte more than is read tells whether a page goes on.
    body = BodyRule(max_bytes=source.max_page_bytes + 1, cut=True, look=_look)
    judge = partial(_judge_redirect, scope=scope)
    return WebClient(web, accept=_ACCEPT, body=body, judge_redirect=judge)


def _look(head: Head, body: bytes) -> Glance | Refusal:
    """Accept answers declared as HTML, and undeclared ones that look like it."""
    kind = head.content_type
    if kind in (HTML, XHTML):
        return Glance.TAKE
    if kind is None and body.lstrip()[:1] in (b"<", b""):
        return Glance.TAKE
    return Refusal(state=PageState.NOT_HTML, detail=f"content type {kind}")


def _judge_redirect(_: str, target: str, *, scope: Scope) -> Refusal | None:
    """Refuse redirects to another site, which may have another owner, and to what is excluded."""
    if not scope.has_host_of(target):
        return Refusal(state=PageState.OUT_OF_SCOPE, detail="redirects to another host")
    if scope.excludes(target):
        return Refusal(state=PageState.OUT_OF_SCOPE, detail="redirects to an excluded page")
    return None


def _crawl_chunk(
    client: WebClient,
    urls: Sequence[str],
    *,
    depth: int,
    scope: Scope,
    source: SiteSource,
    setup: ReadingSetup,
) -> CrawlChunk:
    chunk = CrawlChunk(urls=list(urls))
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
    places = {link: scope.place_of(link) for link in sorted(links)}
    chunk.links = [link for link, place in places.items() if place is Place.INSIDE]
    chunk.left_out = [link for link, place in places.items() if place is Place.LEFT_OUT]
    return chunk


def _add_page(
    chunk: CrawlChunk,
    dropped: Counter[str],
    links: set[str],
    outcome: Outcome,
    *,
    depth: int,
    judge: Callable[[Outcome], tuple[PageState, PageContent | None]],
) -> None:
    state, page = judge(outcome)
    chunk.num_asked += not _was_never_asked(outcome)
    num_candidates = len(page.pairs) if page is not None else 0
    chunk.pages.append(asked_row(outcome, depth=depth, state=state, num_candidates=num_candidates))
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
    refused = (FetchState.ROBOTS_DENIED, FetchState.OPTED_OUT)
    return isinstance(outcome, Failure) and outcome.state in refused and outcome.head is None


def _judge(
    outcome: Outcome, *, setup: ReadingSetup, max_bytes: int
) -> tuple[PageState, PageContent | None]:
    if isinstance(outcome, Failure):
        return state_of_failure(outcome), None
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


def _harvested(chunk: CrawlChunk, site: str) -> Harvested:
    counts = Counter(chunk.dropped)
    counts[FOUND] = len(chunk.candidates) + sum(chunk.dropped.values())
    return Harvested(
        candidates=to_batch(chunk.candidates), counts=counts, pages=chunk.pages, origin=site
    )
