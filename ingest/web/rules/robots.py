"""Rules of hosts: robots.txt (RFC 9309), and what it says about training models. Pure.

Groups are told apart here, and `path_rules` matches the paths. Beside the standard's records there
are `Crawl-delay`, `Sitemap`, and two that reserve training: `Content-Signal: ai-train=no`
(contentsignals.org) and `Content-Usage: train-ai=n` (the IETF's draft aipref-attach).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from openalign.ingest.web.rules.path_rules import PathRules, comparable_path
from openalign.ingest.web.rules.texts import decoded_text

AGENT = "OpenALIGN"
"""Our name in robots.txt files, X-Robots-Tag headers and robots meta elements."""

ROBOTS_PATH = "/robots.txt"
"""Where an origin's file lies; asking for it is always allowed (RFC 9309 2.2.2)."""

MAX_ROBOTS_BYTES = 512_000
"""Bytes that are read of a robots.txt; RFC 9309 2.5 asks for at least 500 KiB."""

TRAINING = {
    "content-signal": ("ai-train", "no", "yes"),
    "content-usage": ("train-ai", "n", "y"),
}
"""Records and headers about training: their signal, how it reserves that, and how it grants it."""

_MAX_CRAWL_DELAY_SECONDS = 30.0
_ALLOW, _DISALLOW, _USER_AGENT = "allow", "disallow", "user-agent"
_CRAWL_DELAY, _SITEMAP = "crawl-delay", "sitemap"
# Fields by their spellings; owners write these instead of the standard's.
_FIELDS = {
    _ALLOW: _ALLOW,
    **dict.fromkeys(
        ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), _DISALLOW
    ),
    **dict.fromkeys(("user-agent", "useragent", "user agent"), _USER_AGENT),
    **dict.fromkeys(("crawl-delay", "crawl delay"), _CRAWL_DELAY),
    **dict.fromkeys(("sitemap", "sitemaps", "site-map"), _SITEMAP),
    **{record: record for record in TRAINING},
}
_LINE = re.compile(rf"({'|'.join(_FIELDS)})(?:[ \t]*:|[ \t]|\Z)(.*)", re.IGNORECASE | re.DOTALL)
_LINE_END = re.compile("[\r\n]")
_BLANK = " \t\0"
# A group is for a name alone (RFC 9309 2.2.1); owners copy it from their logs with its version.
_NAME = re.compile(r"[a-z0-9_-]+|\*(?=[ \t]|\Z)", re.IGNORECASE)
_QUOTED = " \t\"'"
"""Around names and words of signals."""

_DELAY = re.compile(
    r"\+?(\d+(?:[.,]\d*)?|[.,]\d+)(?:e([+-]?\d{1,3}))?(?: ?(?:s|secs?|seconds?)\.?)?(?:[,;].*)?",
    re.IGNORECASE,
)
"""A number of seconds; some write a decimal comma, a unit or more behind it."""


@dataclass(slots=True, kw_only=True)
class HostRules:
    """What one origin's robots.txt says to us."""

    refusal: str = ""
    """Why everything is disallowed, or empty."""

    paths: PathRules = field(default_factory=lambda: PathRules([]))
    training: dict[str, PathRules] = field(default_factory=dict[str, PathRules])
    """Where models may be trained on what lies there, by the record that says so."""

    crawl_delay_seconds: float = 0.0
    """The pause between two requests that the host asks for, 30 at most."""

    sitemaps: list[str] = field(default_factory=list[str])
    """As the file spells them, in its order."""

    def reason_against(self, url: str) -> str | None:
        """Return why a URL must not be asked for, or None when it may be."""
        if self.refusal:
            return self.refusal
        if self.paths.allow(url) or comparable_path(url) == ROBOTS_PATH:
            return None
        return "robots.txt disallows it"

    def reservation_of(self, url: str) -> str | None:
        """Return the record that reserves training on what lies at a URL, or None."""
        return next((name for name, paths in self.training.items() if not paths.allow(url)), None)


@dataclass(slots=True)
class _Group:
    """The records of one agent."""

    paths: list[tuple[bool, str]] = field(default_factory=list[tuple[bool, str]])
    training: dict[str, list[tuple[bool, str]]] = field(
        default_factory=dict[str, list[tuple[bool, str]]]
    )
    crawl_delay_seconds: float = 0.0


def rules_from(status: int, body: bytes) -> HostRules:
    """Return the rules behind an answer to the request for robots.txt (RFC 9309 2.3.1).

    Unavailable (4xx) allows everything, unreachable (5xx, and 429 as servers mean it) nothing.
    """
    if 200 <= status < 300:
        return _parsed(_text(body))
    if status >= 500 or status == 429:
        return HostRules(refusal=f"robots.txt was answered with HTTP {status}")
    return HostRules()


def _text(body: bytes) -> str:
    """Return as much as is read, without a line that the limit cuts: half a path means another."""
    text = decoded_text(body[:MAX_ROBOTS_BYTES])
    if len(body) > MAX_ROBOTS_BYTES:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    return text


def _parsed(text: str) -> HostRules:
    groups: dict[str, _Group] = {}
    sitemaps: list[str] = []
    current: list[_Group] = []
    names_agents = False
    for record, value in _records(text):
        if record == _SITEMAP:
            sitemaps.append(value)
        elif record == _USER_AGENT:
            if not names_agents:
                current = []
            names_agents = True
            if name := _NAME.match(value):
                current.append(groups.setdefault(name[0].lower(), _Group()))
        else:
            # A record that the standard does not know must not end the names (RFC 9309 2.2.4).
            names_agents = names_agents and record == _CRAWL_DELAY
            for group in current:
                _add(group, record, value)
    ours = groups.get(AGENT.lower()) or groups.get("*") or _Group()
    return HostRules(
        paths=PathRules(ours.paths),
        training={
            # Of two preferences for one path the stricter holds (aipref-attach, "Semantics").
            name: PathRules(rules, ties_allow=False)
            for name, rules in ours.training.items()
        },
        crawl_delay_seconds=ours.crawl_delay_seconds,
        sitemaps=sitemaps,
    )


def _records(text: str) -> Iterator[tuple[str, str]]:
    """Yield each record that is known: its field, and its value."""
    for line in _LINE_END.split(text):
        found = _LINE.fullmatch(line.partition("#")[0].strip(_BLANK))
        if found is not None:
            yield _FIELDS[found[1].lower()], found[2].strip(_BLANK)


def _add(group: _Group, record: str, value: str) -> None:
    if not value:
        return
    if record in (_ALLOW, _DISALLOW):
        group.paths.append((record == _ALLOW, value))
    elif record == _CRAWL_DELAY:
        group.crawl_delay_seconds = _delay(value) or group.crawl_delay_seconds
    else:
        _add_signals(group, record, value)


def _add_signals(group: _Group, record: str, value: str) -> None:
    """Add what a record such as `/art/ search=yes, ai-train=no` says about training."""
    pattern, signals = "/", value
    if value.startswith(("/", "*")):
        pattern, _, signals = value.replace("\t", " ").partition(" ")
    may_train = training_in(record, signals)
    if may_train is not None:
        group.training.setdefault(reservation(record), []).append((may_train, pattern))


def training_in(record: str, signals: str) -> bool | None:
    """Return what a list of signals says about training models: yes, no, or nothing.

    Parameters behind a signal's word (RFC 9651 3.1.2) grant nothing, but some owners part signals
    with semicolons, so that one may reserve.
    """
    signal, reserves, grants = TRAINING[record]
    said: bool | None = None
    for part in signals.lower().split(","):
        pairs = [each.strip(_QUOTED).partition("=") for each in part.split(";")]
        words = [word.strip(_QUOTED) for name, _, word in pairs if name.strip(_QUOTED) == signal]
        if reserves in words:
            said = False
        elif words[:1] == [grants] and pairs[0][0].strip(_QUOTED) == signal:
            said = True
    return said


def reservation(record: str) -> str:
    """Return the words by which a record reserves training."""
    signal, reserves, _ = TRAINING[record]
    return f"{record}: {signal}={reserves}"


def _delay(value: str) -> float | None:
    found = _DELAY.fullmatch(value)
    if found is None:
        return None
    seconds = float(f"{found[1].replace(',', '.')}e{found[2] or 0}")
    return (
        min(seconds, _MAX_CRAWL_DELAY_SECONDS) if math.isfinite(seconds) and seconds > 0 else None
    )
