"""The scope of a crawl: which hosts belong to a site, and which of their pages are asked for."""

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from urllib.parse import urlsplit

from openalign.ingest.sources.crawl import SiteSource
from openalign.ingest.web.rules.path_rules import PathRules
from openalign.ingest.web.urls import host_of


class LinkPlace(Enum):
    """Where a link leads."""

    INSIDE = "inside"
    LEFT_OUT = "left_out"
    """To a page of the site that a setting leaves out."""

    ELSEWHERE = "elsewhere"
    """To another site."""


class Scope:
    """Judges links by a source's settings. It sees URLs alone, so order makes no difference."""

    def __init__(self, site: str, source: SiteSource) -> None:
        self._site = site
        self._source = source
        # What disallows the patterns allows a path that none of them matches.
        self._include = _disallowing(source.include)
        self._exclude = _disallowing(source.exclude)

    def place_of(self, url: str) -> LinkPlace:
        """Return where a canonical URL leads."""
        if not self.has_host_of(url):
            return LinkPlace.ELSEWHERE
        if self._source.include and self._include.allow(url):
            return LinkPlace.LEFT_OUT
        if self.excludes(url) or self._is_trap(url):
            return LinkPlace.LEFT_OUT
        return LinkPlace.INSIDE

    def has_host_of(self, url: str) -> bool:
        """Tell whether a URL's host belongs to the site."""
        host = host_of(url)
        is_below = self._source.scope == "domain" and host.endswith(f".{self._site}")
        return host == self._site or is_below

    def excludes(self, url: str) -> bool:
        """Tell whether a pattern of `exclude` matches a URL."""
        return not self._exclude.allow(url)

    def _is_trap(self, url: str) -> bool:
        """Tell whether a URL looks like one of endlessly many that a site makes up."""
        if len(url) > self._source.max_url_chars:
            return True
        segments = Counter(segment for segment in urlsplit(url).path.split("/") if segment)
        return max(segments.values(), default=0) > self._source.max_segment_repeats


def site_of(host: str, source: SiteSource) -> str:
    """Return the site that a seed's host stands for."""
    return host.removeprefix("www.") if source.scope == "domain" else host


def outermost(sites: Iterable[str], source: SiteSource) -> dict[str, str]:
    """Return for each site the one that it lies in, itself mostly: a host has one owner."""
    whole = sorted(set(sites))
    if source.scope == "host":
        return {site: site for site in whole}
    return {
        site: min((each for each in whole if f".{site}".endswith(f".{each}")), key=len)
        for site in whole
    }


def _disallowing(patterns: Iterable[str]) -> PathRules:
    return PathRules((False, pattern) for pattern in patterns)
