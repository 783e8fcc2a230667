"""A parsed page, as its readers see it: its elements within a budget, and its addresses."""

from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.budget import require_readable
from openalign.ingest.webpage.image_address import ImageAddress, Offer, best_address


class Document:
    """A page's tree and where it lies."""

    def __init__(self, tree: LexborHTMLParser, page_url: str) -> None:
        self._tree = tree
        self._page_url = page_url
        self._num_read = 0
        self._base = _base_of(tree, page_url)

    @property
    def root(self) -> LexborNode | None:
        """The html element."""
        return self._tree.root

    def elements(self, selector: str) -> list[LexborNode]:
        """Return the elements that match, in the order of the page.

        Raises:
            PageTooComplexError: those read so far are more than the page's budget.
        """
        found = self._tree.css(selector)
        self._num_read += len(found)
        require_readable(self._num_read)
        return found

    def address(self, offers: Iterable[Offer]) -> ImageAddress:
        """Return the first of the most promising addresses."""
        return best_address(offers, self._base, self._page_url)

    def url(self, raw: str) -> str | None:
        """Return the canonical form of an address on the page, or None where it is none."""
        return canonical_url(raw, self._base)


def _base_of(tree: LexborHTMLParser, page_url: str) -> str:
    for node in tree.css("base"):
        if href := (node.attributes.get("href") or "").strip():
            return canonical_url(href, page_url) or page_url
    return page_url
