"""The language that a page names for each of its parts."""

import re
from functools import lru_cache

from selectolax.lexbor import LexborNode

from openalign.ingest.webpage.elements.document import Document
from openalign.ingest.webpage.elements.nesting import inherited

# Three-letter codes that pages say where the standard has two letters (BCP 47, ISO 639).
_SHORT_LANGUAGES = {
    "ara": "ar",
    "chi": "zh",
    "deu": "de",
    "dut": "nl",
    "eng": "en",
    "fra": "fr",
    "fre": "fr",
    "ger": "de",
    "hin": "hi",
    "ita": "it",
    "jpn": "ja",
    "kor": "ko",
    "nld": "nl",
    "pol": "pl",
    "por": "pt",
    "rus": "ru",
    "spa": "es",
    "tur": "tr",
    "ukr": "uk",
    "vie": "vi",
    "zho": "zh",
}


class Languages:
    """The languages of a page and of its parts (HTML 3.2.6.2).

    An element is in the language that it names, or else the innermost element around it. Where no
    element does, the language is what a meta element or the server names for the whole page. A
    label that names none, such as `english`, hides those further out.
    """

    def __init__(self, document: Document, default: str | None) -> None:
        root = document.root
        self._named = {} if root is None else {root.mem_id: primary_subtag(default)}
        for node in document.elements(r"[lang], [xml\:lang]"):
            attributes = node.attributes
            label = attributes.get("lang") or attributes.get("xml:lang")
            self._named[node.mem_id] = primary_subtag(label)
        self.of_page = None if root is None else self._named[root.mem_id]
        """Of the html element."""

        self._is_one = len(self._named) <= 1

    def of(self, node: LexborNode) -> str | None:
        """Return an element's language, or None where it is unknown."""
        return self.of_page if self._is_one else inherited(node, self._named)


def primary_subtag(label: str | None) -> str | None:
    """Return the lower-case primary subtag of a language label, or None if it is none."""
    # Where the subtag goes on behind four characters it is none.
    return _subtag_at((label or "").strip()[:4])


@lru_cache
def _subtag_at(start: str) -> str | None:
    primary = re.split("[-_]", start, maxsplit=1)[0].lower()
    if not re.fullmatch("[a-z]{2,3}", primary):
        return None
    return _SHORT_LANGUAGES.get(primary, primary)
