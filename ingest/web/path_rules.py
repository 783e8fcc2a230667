"""Patterns on the paths of URLs, as robots.txt has them (RFC 9309 2.2.2 and 2.2.3). Pure."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from protego import Protego

# Python's `splitlines`, by which the parser cuts, knows more line ends than the standard.
_OTHER_LINE_ENDS = re.compile("[\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029]")


class PathRules:
    """Rules that allow or disallow paths by patterns.

    A pattern is the start of a path with its query. `*` stands for any characters, and `$` at its
    end for the end. The longest pattern that matches decides, and of two that are as long, the one
    that allows. A path that none matches is allowed.
    """

    def __init__(self, rules: Iterable[tuple[bool, str]]) -> None:
        """Take rules, each whether it allows, and its pattern."""
        lines = [
            f"{'Allow' if allows else 'Disallow'}: {_OTHER_LINE_ENDS.sub(_quoted, pattern)}"
            for allows, pattern in rules
        ]
        self._parsed = Protego.parse("\n".join(["User-agent: *", *lines])) if lines else None

    def allow(self, url: str) -> bool:
        """Tell whether the rules allow a canonical URL."""
        return self._parsed is None or self._parsed.can_fetch(url, "*")


def _quoted(char: re.Match[str]) -> str:
    return quote(char[0])
