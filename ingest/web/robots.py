"""Rules of hosts: robots.txt (RFC 9309). Pure."""

import re

from protego import Protego

AGENT = "OpenALIGN"
"""Our name in robots.txt files, X-Robots-Tag headers and robots meta elements."""

MAX_ROBOTS_BYTES = 512_000
"""Bytes that are read of a robots.txt; RFC 9309 2.5 asks for at least 500 KiB."""

_MAX_CRAWL_DELAY_SECONDS = 30.0
# A group is for a name alone (RFC 9309 2.2.1); owners copy it from their logs with its version.
_VERSION = re.compile(
    rf"^([ \t]*user-agent[ \t]*:[ \t]*{AGENT})/[^\r\n#]*", re.IGNORECASE | re.MULTILINE
)


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
        return HostRules(Protego.parse(_VERSION.sub(r"\1", text)))
    if status >= 500 or status == 429:
        return HostRules(None, refusal=f"robots.txt was answered with HTTP {status}")
    return HostRules(None)
