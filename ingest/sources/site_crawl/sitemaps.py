"""Asks for a site's sitemaps, one after another, each a chunk of the crawl.

They are `/sitemap.xml` of the seeds' hosts, those that robots.txt names, and those that these name
in turn. Only the site's own hosts are asked. Reading ends when they have named as many pages as the
budget allows, so a site with thousands of sitemaps is not asked for all of them.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openalign.files import storage
from openalign.files.states import PageState
from openalign.ingest.sources.contract import ReadingSetup
from openalign.ingest.sources.site_crawl.chunks import (
    CrawlChunk,
    asked_row,
    read_chunk,
    state_of_failure,
    unasked,
    write_chunk,
)
from openalign.ingest.sources.site_crawl.scope import Place, Scope
from openalign.ingest.sources.site_crawl.sitemap_files import (
    MAX_SITEMAP_BYTES,
    NotASitemapError,
    Sitemap,
    read_sitemap,
)
from openalign.ingest.web.answers import BodyRule
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.outcomes import Failure, Outcome
from openalign.ingest.web.urls import canonical_url, origin_of

MAX_SITEMAPS = 1_000
"""Sitemaps of one site that are asked for."""

MAX_NAMED = 50_000
"""Sitemaps of one site that are taken note of: as many as the protocol lets one index name."""

_GUESS = "/sitemap.xml"

# A byte more than is read tells whether a sitemap goes on.
_BODY = BodyRule(max_bytes=MAX_SITEMAP_BYTES + 1, cut=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitemaps:
    """The sitemaps of one site."""

    client: WebClient
    scope: Scope
    setup: ReadingSetup
    folder: str

    def chunks(self, seeds: Sequence[str], *, max_pages: int) -> Iterator[CrawlChunk]:
        """Yield a chunk for each sitemap; its `links` are the pages that it names.

        Raises:
            StageError: the job has ended, or this machine cannot reach anything.
        """
        guesses = sorted({origin_of(seed) + _GUESS for seed in seeds})
        waiting = deque(guesses)
        named = set(guesses)
        pages: set[str] = set()
        number = 0
        while waiting and number < MAX_SITEMAPS and len(pages) < max_pages:
            url = waiting.popleft()
            kept_at = storage.join(self.folder, f"sitemap-{number:05d}.json")
            chunk = read_chunk(kept_at, [url])
            if chunk is None:
                chunk = self._ask(url, is_guess=url in guesses)
                write_chunk(kept_at, chunk, setup=self.setup)
            number += 1
            pages.update(chunk.links)
            for sitemap in chunk.sitemaps:
                if sitemap not in named and len(named) < MAX_NAMED:
                    named.add(sitemap)
                    waiting.append(sitemap)
            yield chunk
        # A guess that is not asked for may not be there at all.
        rest = [url for url in waiting if url not in guesses]
        yield unasked(rest, None, PageState.OUT_OF_BUDGET)

    def _ask(self, url: str, *, is_guess: bool) -> CrawlChunk:
        if not self.scope.has_host_of(url):
            return unasked([url], None, PageState.OUT_OF_SCOPE)
        [outcome] = self.client.ask([url], body=_BODY)
        state, sitemap = _read(outcome)
        chunk = CrawlChunk(urls=[url])
        if is_guess:
            chunk.sitemaps += self.client.sitemaps_of(origin_of(url))
        if sitemap is None and is_guess:
            return _resolved(chunk, url)  # nobody named it, so it is no page that is missing
        chunk.pages = [asked_row(outcome, depth=None, state=state)]
        if sitemap is not None:
            assert outcome.head is not None
            chunk.sitemaps += sitemap.sitemaps
            self._add_pages(chunk, sitemap, outcome.head.url)
        return _resolved(chunk, url)

    def _add_pages(self, chunk: CrawlChunk, sitemap: Sitemap, base: str) -> None:
        urls = {url for raw in sitemap.pages if (url := canonical_url(raw, base)) is not None}
        places = {url: self.scope.place_of(url) for url in urls}
        chunk.links = sorted(url for url in urls if places[url] is Place.INSIDE)
        chunk.left_out = sorted(url for url in urls if places[url] is Place.LEFT_OUT)


def _read(outcome: Outcome) -> tuple[PageState, Sitemap | None]:
    if isinstance(outcome, Failure):
        return state_of_failure(outcome), None
    try:
        sitemap = read_sitemap(outcome.body)
    except NotASitemapError:
        return PageState.BAD_SITEMAP, None
    if sitemap.is_broken:
        return PageState.BAD_SITEMAP, sitemap
    return PageState.CUT if sitemap.is_cut else PageState.SITEMAP, sitemap


def _resolved(chunk: CrawlChunk, base: str) -> CrawlChunk:
    """Make the addresses of the sitemaps that a chunk names canonical; keep their order."""
    urls = (canonical_url(raw, base) for raw in chunk.sitemaps)
    chunk.sitemaps = list(dict.fromkeys(url for url in urls if url is not None))
    return chunk
