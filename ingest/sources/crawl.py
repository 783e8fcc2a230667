"""The source kind `site`: crawl web sites from their first pages."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.contract import ReadingSetup, SourceKind
from openalign.settings.limits import not_negative, positive

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSource:
    """Crawl web sites from seeds; only the seeds' own hosts are visited."""

    kind: Literal["site"] = "site"
    """Which source this is."""

    seeds: tuple[str, ...]
    """Addresses of the first pages."""

    max_depth: int = 10
    """Links between a seed and a page; 0 is the seeds alone."""

    max_pages: int = 10_000
    """Pages that are asked for on one host: the first of each depth, in the order of their URLs."""

    max_page_bytes: int = 10_000_000
    """Largest page."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds must name at least one page, got none")
        for seed in self.seeds:
            if not re.match(r"(?i)https?://[^/?#\s]", seed):
                raise ValueError(f"seeds must be http or https URLs, got {seed!r}")
        not_negative(max_depth=self.max_depth)
        positive(max_pages=self.max_pages, max_page_bytes=self.max_page_bytes)


def check(source: SiteSource) -> None:
    """Check that every seed is a URL.

    Raises:
        InputError: names the seed that is not a URL.
    """
    from openalign.ingest.sources.crawl_reading import seeds_by_host

    seeds_by_host(source)


def reading(source: SiteSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the crawl."""
    from openalign.ingest.sources.crawl_reading import Crawl

    return Crawl(source=source, setup=setup)


KIND = SourceKind(settings=SiteSource, check=check, reading=reading, asks_web=True)
