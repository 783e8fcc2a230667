"""Rules of hosts and answers: robots.txt (RFC 9309), X-Robots-Tag, TDM reservation. Pure."""

import re
from collections.abc import Iterable, Sequence

from protego import Protego

AGENT = "OpenALIGN"
"""Our name in robots.txt files and scoped X-Robots-Tag headers."""

MAX_ROBOTS_BYTES = 512_000
"""Bytes that are read of a robots.txt; RFC 9309 2.5 asks for at least 500 KiB."""

_MAX_CRAWL_DELAY_SECONDS = 30.0
_WITHHELD = frozenset({"noai", "noimageai", "noindex", "none"})
# Directives with a value of their own; another name before a colon limits what follows to an agent.
# A value may be a date with colons and commas: text that is not a name belongs to the value.
_WITH_VALUE = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)
_AGENT_NAME = re.compile(r"[a-z][a-z0-9_-]*|\*")


class HostRules:
    """What one origin's robots.txt allows."""

    def __init__(self, parsed: Protego | None, *, refusal: str = "") -> None:
        self._parsed = parsed
        self.refusal = refusal
        """Why everything is disallowed, or empty."""

    @property
    def crawl_delay_seconds(self) -> float:
        """Return the pause between two requests that the host asks for, 30 at most."""
        delay = self._parsed.crawl_delay(AGENT) if self._parsed is not None else None
        return min(float(delay or 0.0), _MAX_CRAWL_DELAY_SECONDS)

    def reason_against(self, url: str) -> str | None:
        """Return why a URL must not be asked for, or None when it may be."""
        if self.refusal:
            return self.refusal
        if self._parsed is not None and not self._parsed.can_fetch(url, AGENT):
            return "robots.txt disallows it"
        return None


def rules_from(status: int, body: bytes) -> HostRules:
    """Return the rules behind an answer to the request for robots.txt (RFC 9309 2.3.1).

    Unavailable (4xx) allows everything, unreachable (5xx, and 429 as servers mean it) nothing.
    """
    if 200 <= status < 300:
        text = body[:MAX_ROBOTS_BYTES].decode("utf-8-sig", errors="replace")
        return HostRules(Protego.parse(text))
    if status >= 500 or status == 429:
        return HostRules(None, refusal=f"robots.txt was answered with HTTP {status}")
    return HostRules(None)


def opt_out_in(headers: Iterable[tuple[str, str]]) -> str | None:
    """Return the header that withholds an answer from us, or None.

    Header names are in lower case; a name may stand more than once.
    """
    for name, value in headers:
        if name == "x-robots-tag" and (directive := withheld_by(value)):
            return f"X-Robots-Tag: {directive}"
        if name == "tdm-reservation" and value.strip() == "1":
            return "TDM-Reservation: 1"
    return None


def opt_out_on_page(directives: Sequence[str]) -> str | None:
    """Return the directive of a robots meta element that withholds a page, or None."""
    for content in directives:
        if directive := withheld_by(content):
            return directive
    return None


def withheld_by(value: str) -> str | None:
    """Return the directive in a robots header or meta element that concerns us, or None."""
    concerns_us = True
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        directive = part.strip()
        name = name.strip()
        if colon and name not in _WITH_VALUE and _AGENT_NAME.fullmatch(name):
            concerns_us = name in (AGENT.lower(), "*")
            directive = rest.strip()
        if concerns_us and directive in _WITHHELD:
            return directive
    return None
