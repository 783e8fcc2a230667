"""Lines of a text, as files have them."""

import re

_END = re.compile(r"\r\n|\r|\n")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, parted by a line feed, a carriage return, or both.

    `str.splitlines` also parts at characters that stand within a line, such as U+2028.
    """
    lines = _END.split(text)
    return lines if lines[-1] else lines[:-1]


def one_line(text: str) -> str:
    """Return a text with its ends of lines and control characters escaped, as Python writes them.

    File names may hold them, and a terminal obeys them.
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
