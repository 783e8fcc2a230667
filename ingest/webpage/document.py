"""A parsed page, as its readers see it: its elements within a budget, and its addresses."""

from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.budget import require_readable
from openalign.ingest.webpage.image_address import (
    Attributes,
    ImageAddress,
    Offer,
    address_of_src,
    best_address,
)


class Document:
    """A page's tree and where it lies."""

    def __init__(self, tree: LexborHTMLParser, page_url: str) -> None:
        self._tree = tree
        self._page_url = page_url
        self._num_read = 0
        self.metas: list[Attributes] = []
        """The attributes of the meta elements."""

        self._base = page_url
        hrefs: list[str] = []
        # A search goes through the whole tree, so one looks for both.
        for node in self.elements("meta, base"):
            if node.tag == "meta":
                self.metas.append(node.attributes)
            elif href := (node.attributes.get("href") or "").strip():
                hrefs.append(href)
        if hrefs:
            self._base = canonical_url(hrefs[0], page_url) or page_url

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

    def holds(self, name: str) -> bool:
        """Tell whether an element has this name."""
        return bool(self._tree.tags(name))

    def remove(self, selector: str) -> None:
        """Take the elements that match out of the tree, with all that they hold."""
        for node in self._tree.css(selector):
            node.decompose(recursive=True)

    def address(self, offers: Iterable[Offer]) -> ImageAddress:
        """Return the first of the most promising addresses."""
        return best_address(offers, self._base, self._page_url)

    def address_of_src(self, raw: str) -> ImageAddress:
        """Return what `address` does for a `src` alone."""
        return address_of_src(raw, self._base, self._page_url)

    def url(self, raw: str) -> str | None:
        """Return the canonical form of an address on the page, or None where it is none."""
        return canonical_url(raw, self._base)
