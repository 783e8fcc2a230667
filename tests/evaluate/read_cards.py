"""Cards as the hub's own parser and a parser of Markdown read them, for tests of both cards."""

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")

HOSTILE = "x\n---\nlicense: mit\n# y | *z* <b>bold</b> [a](https://e.example) `c` 1e3: {d"
"""What tries to become metadata, a heading, a cell, emphasis, a tag, a link and code."""


def tokens_of(body: str) -> list[Token]:
    """Return every token of a card's body."""
    return [each for token in PARSER.parse(body) for each in (token, *(token.children or ()))]


def headings_of(body: str) -> list[str]:
    """Return the headings of a card's body, as people read them."""
    tokens = PARSER.parse(body)
    return [
        "".join(child.content for child in tokens[at + 1].children or ())
        for at, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def links_of(body: str) -> set[str]:
    """Return where the links of a card's body lead."""
    return {str(token.attrs["href"]) for token in tokens_of(body) if token.type == "link_open"}


def rows_of(body: str, first: str) -> list[Sequence[str]]:
    """Return the rows of the tables whose first heading is `first`, as people read their cells."""
    found: list[Sequence[str]] = []
    rows: list[list[str]] = []
    for token in PARSER.parse(body):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append("".join(child.content for child in token.children or ()))
        elif token.type == "table_close":
            found += rows[1:] if rows[0][0] == first else []
            rows = []
    return found
