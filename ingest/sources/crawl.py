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
    """Crawl web sites from seeds, along their links and sitemaps."""

    kind: Literal["site"] = "site"
    """Which source this is."""

    seeds: tuple[str, ...]
    """Addresses of the first pages."""

    scope: Literal["host", "domain"] = "host"
    """Which hosts belong to a seed's site: its own alone, or all hosts of its domain, which is the
    host's name without `www.`, and every name below that."""

    include: tuple[str, ...] = ()
    """Patterns of the paths that are asked for, as in robots.txt: `/art/`, `/*.html$`. Without any,
    every path is."""

    exclude: tuple[str, ...] = ()
    """Patterns of the paths that are left out, whatever `include` says: `/login`, `/*?*sort=`."""

    sitemaps: bool = True
    """Read the sites' sitemaps, as if the seeds linked to the pages that they name."""

    max_depth: int = 10
    """Links between a seed and a page; 0 is the seeds alone."""

    max_pages: int = 10_000
    """Pages that are asked for on one site: the first of each depth, in the order of their URLs."""

    max_url_chars: int = 2048
    """Longest address that is asked for (the protocol of sitemaps allows as many)."""

    max_segment_repeats: int = 3
    """How often a name may stand in one path; `/a/b/a/b/a/b/a/b` is made by a wrong link, and has
    no end."""

    max_page_bytes: int = 10_000_000
    """Largest page."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds must name at least one page, got none")
        for seed in self.seeds:
            if not re.match(r"(?i)https?://[^/?#\s]", seed):
                raise ValueError(f"seeds must be http or https URLs, got {seed!r}")
        for name, patterns in (("include", self.include), ("exclude", self.exclude)):
            for pattern in patterns:
                _check_pattern(name, pattern)
        not_negative(max_depth=self.max_depth)
        positive(
            max_pages=self.max_pages,
            max_url_chars=self.max_url_chars,
            max_segment_repeats=self.max_segment_repeats,
            max_page_bytes=self.max_page_bytes,
        )


def _check_pattern(name: str, pattern: str) -> None:
    if not re.fullmatch(r"[/*][^\s#$]*\$?", pattern):
        raise ValueError(
            f"{name} must hold patterns of paths as robots.txt has them, such as /art/ or "
            f"/*.html$, got {pattern!r}: one begins with / or *, `*` stands for any characters, "
            "`$` for the end"
        )


def check(source: SiteSource) -> None:
    """Check that every seed is a URL.

    Raises:
        InputError: names the seed that is not a URL.
    """
    from openalign.ingest.sources.site_crawl.crawl_reading import seeds_by_site

    seeds_by_site(source)


def reading(source: SiteSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the crawl."""
    from openalign.ingest.sources.site_crawl.crawl_reading import Crawl

    return Crawl(source=source, setup=setup)


KIND = SourceKind(settings=SiteSource, check=check, reading=reading, asks_web=True)
