"""Addresses of many pages' images in columns: what is plain of them, in a fraction of the time."""

import polars as pl

from openalign.ingest.webpage.addresses.image_address import PLACEHOLDER_WORDS

_PLAIN = (
    r"^(?:https?://(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*)?"
    r"/(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*"
    r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.(?:jpg|jpeg|png|webp|gif)"
    r"(?:\?[A-Za-z0-9._~=&+-]*)?$"
)
_MAY_BE_PLACEHOLDER = rf"[/._-](?:{'|'.join(sorted(PLACEHOLDER_WORDS))})[._-]*[0-9x]*\.[a-z]+"
_PLAIN_CHARS = 512


def plain_urls(raws: pl.Series, page_of: pl.Series, pages: pl.DataFrame) -> pl.Series:
    """Return the canonical form of each `src` that is plainly that of an image; null of others.

    What it returns is what `address_of_src` does, which is to be asked about the others. `page_of`
    has the row of each address's page in `pages`, with its canonical `base` and `page_url`. There
    are no nulls.
    """
    raw, url = pl.col("raw"), pl.col("url")
    is_plain = (
        raw.str.contains(_PLAIN)
        & (raw.str.len_bytes() < _PLAIN_CHARS)
        & ~raw.str.contains("xn--", literal=True)
        & ~raw.str.to_lowercase().str.contains(_MAY_BE_PLACEHOLDER)
    )
    with_host = pages.with_columns(host=pl.col("base").str.extract("^(https?://[^/]*)"))
    behind_host = pl.when(raw.str.starts_with("/")).then(pl.col("host") + raw).otherwise(raw)
    rows = with_host[page_of].with_columns(raw=raws).with_columns(url=behind_host)
    is_image = is_plain & (url != pl.col("page_url")) & (url != pl.col("base"))
    return rows.select(pl.when(is_image).then(url)).to_series()
