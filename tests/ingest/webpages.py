"""Pages in tests: their address, and what is found on them."""

from openalign.ingest.webpage.page import PageContent, parse_page

PAGE_URL = "http://site.example/a/index.html"


def parse(html: str, *, is_xml: bool = False) -> PageContent:
    return parse_page(html.encode(), page_url=PAGE_URL, charset="utf-8", is_xml=is_xml)


def pairs(html: str, *, is_xml: bool = False) -> list[tuple[str, str, str]]:
    """Return the address, text and place of each pair; addresses of the page's host are short."""
    return [
        (p.image_url.removeprefix("http://site.example"), p.alt_text, p.found_in)
        for p in parse(html, is_xml=is_xml).pairs
    ]
