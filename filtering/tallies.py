"""The tallies of rows that are judged: largest hosts, most dropped texts, examples.

Examples are those with the smallest keys. Texts are counted only if they stand on many images: no
other text can be frequent. Only the largest hosts reach the manifest.
"""

from collections.abc import Iterable

import polars as pl

from openalign.engines.tallies import Tally
from openalign.filtering.counts.tokens import U64

NUM_EXAMPLES = 5
"""Examples of each rule."""

NUM_TOP = 20
"""Texts and hosts that are named."""


def _merge_examples(rows: pl.DataFrame) -> pl.DataFrame:
    # One row a text, the one with the smallest key: one frequent text must not fill the examples.
    texts = rows.sort("key").unique(["rule", "alt_text"], keep="first", maintain_order=True)
    return texts.group_by("rule", maintain_order=True).head(NUM_EXAMPLES)


def _merge_texts(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.sort("key")
        .group_by("hash", "rule")
        .agg(pl.col("rows").sum(), pl.col("key", "alt_text", "image_url").first())
    )


def _merge_hosts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("host").agg(pl.col("rows", "kept").sum())


def _shown_examples(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("rule", "key")


def _top_texts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("rows", "key", descending=[True, False]).head(NUM_TOP)


def _top_hosts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("rows", "host", descending=[True, False]).head(NUM_TOP)


TALLIES: dict[str, Tally] = {
    "examples": Tally("rule", _merge_examples, _shown_examples),
    "texts": Tally("hash", _merge_texts, _top_texts),
    "hosts": Tally("host", _merge_hosts, _top_hosts),
}


def of_examples(rejected: pl.DataFrame) -> pl.DataFrame:
    """Return the examples that a batch's rejected rows give."""
    return _merge_examples(
        rejected.select(pl.col("reason").alias("rule"), "key", "alt_text", "image_url")
    )


def of_texts(rejected: pl.DataFrame, hashes: U64) -> pl.DataFrame:
    """Return how often each text was rejected, and one row with it; `hashes` are the texts'."""
    rows = rejected.select(
        pl.Series("hash", hashes).cast(pl.String),
        pl.col("reason").alias("rule"),
        pl.lit(1, pl.Int64).alias("rows"),
        "key",
        "alt_text",
        "image_url",
    )
    return _merge_texts(rows)


def of_hosts(rows: pl.DataFrame, kept: pl.Series) -> pl.DataFrame:
    """Return how many rows of a batch point at each host, and how many of them were kept."""
    host = pl.col("image_url").str.splitn("/", 4).struct.field("field_2").fill_null("")
    return _merge_hosts(
        rows.select(
            host.alias("host"), pl.lit(1, pl.Int64).alias("rows"), kept.cast(pl.Int64).alias("kept")
        )
    )


def merge(name: str, pieces: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Merge tallies of one kind."""
    return TALLIES[name].merged(pl.concat(pieces))
