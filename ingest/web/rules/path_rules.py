"""Patterns on the paths of URLs, as robots.txt has them (RFC 9309 2.2.2 and 2.2.3). Pure.

Paths are compared in one spelling: what need not be escaped is not, what must be is, in capitals.
A `*` or `$` of a URL is escaped, too, so only a pattern's escaped one equals it. Behind a question
mark the delimiters of RFC 3986 (`:/?@[]`) equal their escapes, as the standard's example has it.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

_AS_IT_STANDS = re.compile(r"[A-Za-z0-9/._~?&=,;:@!()'+-]*")
"""What is in the spelling of comparison already: most paths."""

# `quote` leaves letters, digits and `_.-~` alone in any case; `%` begins an escape of the text's.
_NOT_ESCAPED = "%/?:@[]!&'()+,;="
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN_IN_QUERY = _UNRESERVED | frozenset(":/?@[]")


class PathPattern:
    """The start of a path with its query; `*` is any characters, `$` at the end is the end."""

    __slots__ = ("_end", "_is_whole", "_middle", "_start", "num_octets")

    def __init__(self, text: str) -> None:
        """Take a pattern as a file spells it."""
        is_anchored = text.endswith("$")
        comparable = _comparable(text.removesuffix("$"), "*")
        self.num_octets = len(comparable) + is_anchored
        """Its length, by which the more specific of two patterns is told."""
        self._start, *self._middle = comparable.split("*")
        self._is_whole = is_anchored and not self._middle
        self._end = self._middle.pop() if is_anchored and self._middle else ""

    def matches(self, path: str) -> bool:
        """Tell whether it matches a path that `comparable_path` returned."""
        if not path.startswith(self._start):
            return False
        at = len(self._start)
        if self._is_whole:
            return at == len(path)
        # The first place for each piece leaves most room for the rest: no choice is taken back.
        for piece in self._middle:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return path.endswith(self._end) and at + len(self._end) <= len(path)


class PathRules:
    """Rules that allow or disallow paths by patterns.

    The longest pattern that matches decides. A path that none matches is allowed.
    """

    __slots__ = ("_rules",)

    def __init__(self, rules: Iterable[tuple[bool, str]], *, ties_allow: bool = True) -> None:
        """Take rules, each whether it allows, and its pattern.

        `ties_allow` says which of two patterns as long as each other decides.
        """
        self._rules = [(allows, PathPattern(pattern)) for allows, pattern in rules]
        self._rules.sort(key=lambda rule: (rule[1].num_octets, rule[0] is ties_allow), reverse=True)

    def allow(self, url: str) -> bool:
        """Tell whether the rules allow a canonical URL."""
        if not self._rules:
            return True
        path = comparable_path(url)
        return next((allows for allows, pattern in self._rules if pattern.matches(path)), True)


def comparable_path(url: str) -> str:
    """Return path and query of a canonical URL in the spelling in which paths are compared."""
    return _comparable(url[url.index("/", len("https://")) :], "")


def _comparable(text: str, special: str) -> str:
    """Return a path or a pattern in the spelling of comparison; `special` stays as it is."""
    if _AS_IT_STANDS.fullmatch(text):
        return text
    path, mark, query = quote(text, safe=_NOT_ESCAPED + special).partition("?")
    return (
        _ESCAPE.sub(lambda found: _escape(found, _UNRESERVED), path)
        + mark
        + _ESCAPE.sub(lambda found: _escape(found, _PLAIN_IN_QUERY), query)
    )


def _escape(found: re.Match[str], plain: frozenset[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in plain else found[0].upper()
