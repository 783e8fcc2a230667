"""Texts of users and of the web in Markdown, where they stay texts."""

import html
import re

_MARKUP = re.compile(r"[\\`*_~|\[\]]")
"""What means something else than itself in a line, beside the characters of HTML."""

_BLOCK = re.compile(r"^(?:[#+=-]|\d+(?=[.)](?:\s|$)))")
"""What makes a block of a line that begins with it: a heading, a list, a rule."""

_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
"""Where an address without brackets becomes a link."""


def cell(text: str) -> str:
    """Return a text as one line that reads as it is: no tag, link, block or end of a table's cell.

    It may stand in a paragraph, a heading, an item of a list and a cell of a table.
    """
    line = _MARKUP.sub(r"\\\g<0>", html.escape(" ".join(str(text).split()), quote=False))
    line = _LINK.sub(r"\\", line)
    begins = _BLOCK.match(line)
    if begins is None:
        return line
    at = begins.end() if begins[0].isdecimal() else 0
    return f"{line[:at]}\\{line[at:]}"


def code(text: str) -> str:
    """Return a name as code in one line; backticks in it become apostrophes."""
    line = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{line}`"
