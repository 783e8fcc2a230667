"""Pages in tests: their address, and what is found on them."""

from collections.abc import Collection
from typing import get_args

from openalign.ingest.webpage.elements.images_to_judge import judge_one_by_one
from openalign.ingest.webpage.page import PageContent, parse_page
from openalign.ingest.webpage.texts import TextKind

PAGE_URL = "http://site.example/a/index.html"

ALL_TEXTS: tuple[TextKind, ...] = get_args(TextKind)


def parse(
    html: str | bytes,
    *,
    charset: str | None = "utf-8",
    texts: Collection[TextKind] = ALL_TEXTS,
    content_language: str | None = None,
    is_xml: bool = False,
    with_links: bool = True,
    images_later: bool = False,
) -> PageContent:
    """Read a page; unless a test says otherwise, every kind of text counts."""
    return parse_page(
        html.encode() if isinstance(html, str) else html,
        page_url=PAGE_URL,
        charset=charset,
        content_language=content_language,
        texts=texts,
        is_xml=is_xml,
        with_links=with_links,
        images_later=images_later,
    )


def judged(content: PageContent) -> PageContent:
    """Judge the images that are still to be judged, and order the pairs."""
    if content.images is not None:
        judge_one_by_one(content.images)
        content.images = None
    content.pairs.sort(key=repr)
    return content


def pairs(html: str, *, is_xml: bool = False) -> list[tuple[str, str, str]]:
    """Return the address, text and place of each pair; addresses of the page's host are short."""
    return [
        (p.image_url.removeprefix("http://site.example"), p.alt_text, p.found_in)
        for p in parse(html, is_xml=is_xml).pairs
    ]
