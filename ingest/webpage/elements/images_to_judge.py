"""Images that are known by their attributes and have an alt-text alone, judged over many pages.

Most have a plain address. In columns they take a fraction of the time that they take one by one,
which is left to the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import polars as pl

from openalign.files.states import FoundIn
from openalign.ingest.web.urls import MAX_URL_CHARS, Escape
from openalign.ingest.webpage.addresses.address_columns import plain_urls
from openalign.ingest.webpage.addresses.image_address import (
    Attributes,
    address_of_img,
    address_of_src,
)
from openalign.ingest.webpage.elements.pairs import PairsFound
from openalign.ingest.webpage.text_columns import collapse_each
from openalign.ingest.webpage.texts import collapse

_MOST_URL_CHARS = 32 * MAX_URL_CHARS
"""A character of an address becomes sixteen where its number is escaped, in a host's name a few
more, and what is longer than `MAX_URL_CHARS` is no address."""


@dataclass(slots=True, kw_only=True)
class ImagesToJudge:
    """Images of a page: in each list a value for each, as found."""

    base: str
    page_url: str
    found: PairsFound
    """What the page has beside them, to which their pairs are added."""

    escape: Escape | None = None
    """What `canonical_url` is to know of the page's encoding."""

    raws: list[str] = field(default_factory=list[str])
    """The address that each offers first."""

    address_from: list[str] = field(default_factory=list[str])
    """The attribute that it stands in."""

    attributes: list[Attributes | None] = field(default_factory=list[Attributes | None])
    """All that may offer another one; None where it is a `src` alone."""

    alts: list[str] = field(default_factory=list[str])
    languages: list[str | None] = field(default_factory=list[str | None])

    def add(
        self,
        raw: str,
        address_from: str,
        attributes: Attributes | None,
        alt: str,
        language: str | None,
    ) -> None:
        """Add an image."""
        self.raws.append(raw)
        self.address_from.append(address_from)
        self.attributes.append(attributes)
        self.alts.append(alt)
        self.languages.append(language)

    def are_short(self) -> bool:
        """Tell whether their pairs are within the page's budget, whatever the addresses are."""
        chars_beside_alt = len(self.base) + _MOST_URL_CHARS + MAX_URL_CHARS
        most_chars = sum(map(len, self.alts)) + len(self.alts) * chars_beside_alt
        return self.found.have_room_for(most_chars)


def judge_one_by_one(page: ImagesToJudge) -> None:
    """Add the pairs of a page's images to what was found, and count what is no candidate.

    Raises:
        PageTooComplexError: the page's pairs are longer than its budget.
    """
    for image in zip(page.raws, page.attributes, page.alts, page.languages, strict=True):
        _judge(page, *image)


def judge_together(pages: Sequence[ImagesToJudge]) -> pl.DataFrame:
    """Do for several pages what `judge_one_by_one` does; their pairs are to be short.

    Pairs of a plain address are not added but returned: what `schemas.CANDIDATE` has of them, and
    `page`, the number of their page.
    """
    raws = _column(page.raws for page in pages)
    alts = _column(page.alts for page in pages)
    of_image = pl.Series(np.repeat(np.arange(len(pages)), [len(page.raws) for page in pages]))
    of_page = pl.DataFrame(
        {"base": [page.base for page in pages], "page_url": [page.page_url for page in pages]},
        schema={"base": pl.String, "page_url": pl.String},
    )
    judged = pl.DataFrame(
        {
            "page": of_image,
            "image_url": plain_urls(raws, of_image, of_page),
            "alt_text": collapse_each(alts),
            "found_in": pl.repeat(FoundIn.IMG_ALT.value, len(raws), dtype=pl.String, eager=True),
            "raw_image_url": raws,
            "address_from": _column(page.address_from for page in pages),
            "page_language": _column(page.languages for page in pages),
        }
    )
    is_plain = judged.select(
        pl.col("image_url").is_not_null() & (pl.col("alt_text") != "")
    ).to_series()
    attributes = list(chain.from_iterable(page.attributes for page in pages))
    others = judged.select("page", "raw_image_url", "page_language", alt=alts)
    for place in (~is_plain).arg_true():
        number, raw, language, alt = others.row(place)
        _judge(pages[number], raw, attributes[place], alt, language)
    return judged.filter(is_plain)


def _column(lists: Iterable[Sequence[str | None]]) -> pl.Series:
    return pl.Series(list(chain.from_iterable(lists)), dtype=pl.String)


def _judge(
    page: ImagesToJudge, raw: str, attributes: Attributes | None, alt: str, language: str | None
) -> None:
    text = collapse(alt)
    if not text:
        page.found.add_without_text()
        return
    if attributes is None:
        address = address_of_src(raw, page.base, page.page_url, escape=page.escape)
    else:
        address = address_of_img(attributes, page.base, page.page_url, escape=page.escape)
    page.found.add(address, text, FoundIn.IMG_ALT, language)
