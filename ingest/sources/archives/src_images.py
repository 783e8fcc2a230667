"""Images that are known by their `src`, as a WAT has them, judged over many pages at once.

Most have a plain address and an alt-text alone. In columns they take a tenth of the time that they
take one by one, which is left to the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl

from openalign.files.states import FoundIn
from openalign.ingest.web.urls import MAX_URL_CHARS
from openalign.ingest.webpage.addresses.address_columns import plain_urls
from openalign.ingest.webpage.addresses.image_address import address_of_src
from openalign.ingest.webpage.elements.pairs import PairsFound
from openalign.ingest.webpage.text_columns import collapse_each
from openalign.ingest.webpage.texts import collapse

_MOST_URL_CHARS = 32 * MAX_URL_CHARS
"""A character of an address becomes twelve where its four bytes are escaped, in a host's name a few
more, and what is longer than `MAX_URL_CHARS` is no address."""


@dataclass(slots=True, kw_only=True)
class SrcImages:
    """The images of a page that have a text: in each list a value for each, as found."""

    raws: list[str]
    alts: list[str]
    titles: list[str]
    """Texts that do not count are empty."""

    base: str
    page_url: str
    language: str | None
    found: PairsFound
    """What the page has beside them, to which their pairs are added."""

    def most_chars(self, metas: Sequence[tuple[str, str]]) -> int:
        """Return a bound on the characters of the page's pairs, those of meta elements included."""
        num_chars = sum(map(len, chain(self.alts, self.titles, *metas)))
        num_texts = 2 * len(self.raws) + len(metas)
        return num_chars + num_texts * (len(self.base) + _MOST_URL_CHARS + MAX_URL_CHARS)


def add_one_by_one(page: SrcImages) -> None:
    """Add the pairs of a page's images to what was found, and count what is no candidate.

    Raises:
        PageTooComplexError: the page's pairs are longer than its budget.
    """
    for image in zip(page.raws, page.alts, page.titles, strict=True):
        _add(page, *image)


def add_together(pages: Sequence[SrcImages]) -> pl.DataFrame:
    """Do for several pages what `add_one_by_one` does, if no pairs are longer than the budget.

    Pairs of a plain address and an alt-text alone are not added but returned: what
    `schemas.CANDIDATE` has of them, and `page`, the number of their page.
    """
    rows = pl.DataFrame(
        {
            "page": np.repeat(np.arange(len(pages)), [len(page.raws) for page in pages]),
            "raw_image_url": list(chain.from_iterable(page.raws for page in pages)),
            "alt": list(chain.from_iterable(page.alts for page in pages)),
            "title": list(chain.from_iterable(page.titles for page in pages)),
        },
        schema_overrides=dict.fromkeys(("raw_image_url", "alt", "title"), pl.String),
    )
    of_page = pl.DataFrame(
        {
            "base": [page.base for page in pages],
            "page_url": [page.page_url for page in pages],
            "page_language": [page.language for page in pages],
        },
        schema=dict.fromkeys(("base", "page_url", "page_language"), pl.String),
    )
    judged = rows.with_columns(
        image_url=plain_urls(rows["raw_image_url"], rows["page"], of_page),
        alt_text=collapse_each(rows["alt"]),
        page_language=of_page["page_language"].gather(rows["page"]),
        found_in=pl.lit(FoundIn.IMG_ALT.value),
        address_from=pl.lit("src"),
    )
    is_plain = judged.select(
        pl.col("image_url").is_not_null() & (pl.col("alt_text") != "") & (pl.col("title") == "")
    ).to_series()
    others = rows.filter(~is_plain)
    for number, *image in others.iter_rows():
        _add(pages[number], *image)
    return judged.filter(is_plain).drop("alt", "title")


def _add(page: SrcImages, raw: str, alt: str, title: str) -> None:
    alt = collapse(alt) if alt else ""
    title = collapse(title) if title else ""
    if not alt and not title:
        page.found.add_without_text()
        return
    address = address_of_src(raw, page.base, page.page_url)
    if alt:
        page.found.add(address, alt, FoundIn.IMG_ALT, page.language)
    if title:
        page.found.add(address, title, FoundIn.TITLE, page.language)
