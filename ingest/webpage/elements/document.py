"""A parsed page, as its readers see it: its elements within a budget, and its addresses."""

from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openalign.ingest.web.urls import canonical_url
from openalign.ingest.webpage.addresses.image_address import (
    Attributes,
    ImageAddress,
    Offer,
    address_of_src,
    best_address,
)
from openalign.ingest.webpage.cost.budget import require_readable


class Document:
    """A page's tree and where it lies."""

    def __init__(self, tree: LexborHTMLParser, page_url: str) -> None:
        self._tree = tree
        self._page_url = page_url
        self._num_read = 0
        self.metas: list[Attributes] = []
        """The attributes of the meta elements."""

        base = ""
        self._scripts: list[LexborNode] = []
        # A search goes through the whole tree, so one looks for all of them.
        for node in self.elements("meta, base, script, style"):
            if node.tag == "meta":
                self.metas.append(node.attributes)
            elif node.tag != "base":
                self._scripts.append(node)
            elif not base:
                base = (node.attributes.get("href") or "").strip()
        self._base = (canonical_url(base, page_url) if base else None) or page_url

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

    def scripts_of_type(self, media_type: str) -> list[str]:
        """Return the contents of the page's scripts of a type."""
        return [
            node.text()
            for node in self._scripts
            if node.tag == "script"
            and (node.attributes.get("type") or "").partition(";")[0].strip().lower() == media_type
        ]

    def remove_scripts(self) -> None:
        """Take scripts and styles out of the tree, with all that they hold."""
        for node in self._scripts:
            node.decompose(recursive=True)
        self._scripts = []

    def address(self, offers: Iterable[Offer]) -> ImageAddress:
        """Return the first of the most promising addresses."""
        return best_address(offers, self._base, self._page_url)

    def address_of_src(self, raw: str) -> ImageAddress:
        """Return what `address` does for a `src` alone."""
        return address_of_src(raw, self._base, self._page_url)

    def url(self, raw: str) -> str | None:
        """Return the canonical form of an address on the page, or None where it is none."""
        return canonical_url(raw, self._base)
