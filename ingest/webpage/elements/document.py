"""A parsed page, as its readers see it: its elements within a budget, and its addresses."""

import threading
from collections.abc import Iterable

from selectolax.lexbor import LexborCSSSelector, LexborHTMLParser, LexborNode

from openalign.ingest.web.urls import Escape, canonical_url
from openalign.ingest.webpage.addresses.image_address import (
    Attributes,
    ImageAddress,
    Offer,
    best_address,
)
from openalign.ingest.webpage.cost.budget import require_readable


class _Search(threading.local):
    """A thread's search by selectors; to make one for each page takes as long as to use it."""

    def __init__(self) -> None:
        self.find = LexborCSSSelector().find


_SEARCH = _Search()


class Document:
    """A page's tree and where it lies."""

    def __init__(
        self, tree: LexborHTMLParser, page_url: str, *, escape: Escape | None = None
    ) -> None:
        self._tree = tree
        self.page_url = page_url
        """Canonical."""

        self.escape = escape
        """What `canonical_url` is to know of the page's encoding."""

        self._num_read = 0
        self.metas: list[Attributes] = [node.attributes for node in self.named("meta")]
        """The attributes of the meta elements."""

        self._scripts = self.named("script")
        self._styles = self.named("style")
        hrefs = ((node.attributes.get("href") or "").strip() for node in self.named("base"))
        base = next(filter(None, hrefs), "")
        self.base = (canonical_url(base, page_url, escape=escape) if base else None) or page_url
        """What the page's addresses are relative to; canonical."""

    @property
    def root(self) -> LexborNode | None:
        """The html element."""
        return self._tree.root

    def elements(self, selector: str) -> list[LexborNode]:
        """Return the elements that match, in the order of the page.

        Raises:
            PageTooComplexError: those read so far are more than the page's budget.
        """
        root = self._tree.root
        return self._counted(_SEARCH.find(selector, root) if root is not None else [])

    def named(self, name: str) -> list[LexborNode]:
        """Return what `elements` does for a name, in half of its time."""
        return self._counted(self._tree.tags(name))

    def _counted(self, found: list[LexborNode]) -> list[LexborNode]:
        self._num_read += len(found)
        require_readable(self._num_read)
        return found

    def all_named(self, name: str) -> list[LexborNode]:
        """Return what `named` does, without a budget."""
        return self._tree.tags(name)

    def scripts_of_type(self, media_type: str) -> list[str]:
        """Return the contents of the page's scripts of a type."""
        return [
            node.text()
            for node in self._scripts
            if (node.attributes.get("type") or "").partition(";")[0].strip().lower() == media_type
        ]

    def remove_scripts(self) -> None:
        """Take scripts and styles out of the tree, with all that they hold."""
        for node in (*self._scripts, *self._styles):
            node.decompose(recursive=True)
        self._scripts = self._styles = []

    def address(self, offers: Iterable[Offer]) -> ImageAddress:
        """Return the first of the most promising addresses."""
        return best_address(offers, self.base, self.page_url, escape=self.escape)

    def url(self, raw: str) -> str | None:
        """Return the canonical form of an address on the page, or None where it is none."""
        return canonical_url(raw, self.base, escape=self.escape)
