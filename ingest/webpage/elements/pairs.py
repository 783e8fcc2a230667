"""The pairs of an image and a text that a page gives, and those that are no candidates."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.webpage.addresses.image_address import ImageAddress, Promise
from openalign.ingest.webpage.cost.budget import are_short, require_short


class FoundPair(msgspec.Struct, frozen=True, gc=False):
    """An image and one of its texts, as found on a page."""

    image_url: str
    alt_text: str
    found_in: FoundIn
    raw_image_url: str

    address_from: str
    """The attribute that `raw_image_url` stands in."""

    language: str | None
    """Of the page where the text stands, as a lower-case primary subtag; None if it names none."""


@dataclass(slots=True, kw_only=True)
class PairsFound:
    """What has been found on a page so far."""

    pairs: list[FoundPair] = field(default_factory=list[FoundPair])
    dropped: Counter[str] = field(default_factory=Counter)
    """Pairs that do not become candidates, by `HarvestState`."""

    _num_chars: int = 0

    def add(self, address: ImageAddress, text: str, place: FoundIn, language: str | None) -> None:
        """Add a pair, or count it where its image has no http address.

        Raises:
            PageTooComplexError: the page's pairs are longer than its budget.
        """
        url, raw = address.url, address.raw
        if url is None:
            is_data = address.promise is Promise.DATA
            self.dropped[HarvestState.DATA_URL if is_data else HarvestState.BAD_URL] += 1
            return
        self._num_chars += len(text) + len(url) + len(raw)
        require_short(self._num_chars)
        self.pairs.append(FoundPair(url, text, place, raw, address.attribute, language))

    def have_room_for(self, num_chars: int) -> bool:
        """Tell whether further pairs of so many characters are within the page's budget."""
        return are_short(self._num_chars + num_chars)

    def add_without_text(self) -> None:
        """Count an image that has no text of a kind that counts."""
        self.dropped[HarvestState.NO_ALT_TEXT] += 1
