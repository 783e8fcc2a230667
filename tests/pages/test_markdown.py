"""Texts of others in Markdown, as a parser of Markdown reads them."""

import pytest
from markdown_it import MarkdownIt

from openalign.pages.markdown import cell, code

PARSER = MarkdownIt("commonmark").enable("table")

HOSTILE = [
    "# a heading",
    "#",
    "- an item",
    "+ an item",
    "1. an item",
    "2)",
    "===",
    "---",
    "> a quote",
    "<img src=x onerror=y> & <!-- ",
    "[a](b) ![c](d) <https://e.example>",
    "`code` *strong* _em_ ~~gone~~ a\\",
    "| a | cell |",
    "two\n\nparagraphs\u2028and\x85more",
    "- - -",
    "```",
    "3.5 apples",
]


def texts_of(markdown: str) -> list[str]:
    """Return what is read in a page, block by block; anything but text and code fails."""
    inline = [token for token in PARSER.parse(markdown) if token.type == "inline"]
    children = [child for token in inline for child in token.children or ()]
    assert {child.type for child in children} <= {"text", "text_special", "code_inline"}
    return ["".join(child.content for child in token.children or ()) for token in inline]


def kinds_of(markdown: str) -> list[str]:
    return [token.type for token in PARSER.parse(markdown)]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_reads_as_it_is_wherever_it_stands(text: str) -> None:
    expected = " ".join(text.split())

    for before, kinds in (
        ("", ["paragraph_open", "inline", "paragraph_close"]),
        ("# ", ["heading_open", "inline", "heading_close"]),
    ):
        page = before + cell(text)
        assert kinds_of(page) == kinds
        assert texts_of(page) == [expected]
    assert kinds_of(f"- {cell(text)}")[2:5] == ["paragraph_open", "inline", "paragraph_close"]
    table = f"| a | b |\n|---|---|\n| {cell(text)} | c |"
    assert texts_of(table) == ["a", "b", expected, "c"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_code_wherever_it_stands(text: str) -> None:
    expected = " ".join(text.split()).replace("`", "'")

    table = f"| a | b |\n|---|---|\n| {code(text)} | c |"

    assert texts_of(table) == ["a", "b", expected, "c"]


def test_an_address_is_no_link_where_bare_ones_are() -> None:
    """GitHub and the hub make links of what begins with a scheme or `www.`."""
    assert cell("see https://a.example or WWW.b.example") == (
        "see https:\\//a.example or WWW\\.b.example"
    )
    assert cell("a:b and //c") == "a:b and //c"
