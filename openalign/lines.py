"""Lines of a text, as files have them."""

import re

_END = re.compile(r"\r\n|\r|\n")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, parted by a line feed, a carriage return, or both.

    `str.splitlines` also parts at characters that stand within a line, such as U+2028.
    """
    lines = _END.split(text)
    return lines if lines[-1] else lines[:-1]
