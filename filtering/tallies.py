"""Tallies for people, beside the numbers: largest hosts, most dropped texts, examples.

A tally is a small table that merges in any order and stays bounded. Examples are those with the
smallest keys. Texts are counted only if they stand on many images: no other text can be frequent.
Only the largest hosts reach the manifest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from openalign.filtering.counts.tokens import U64

NUM_EXAMPLES = 5
"""Examples of each rule."""

NUM_TOP = 20
"""Texts and hosts that are named."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How one kind of tally is merged, and which of its rows are shown."""

    by: str
    """The column whose equal values must meet to be merged."""

    merged: Callable[[pl.DataFrame], pl.DataFrame]
    top: Callable[[pl.DataFrame], pl.DataFrame]


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


TALLIES: dict[str, Tally] = {
    "examples": Tally("rule", _merge_examples, lambda rows: rows.sort("rule", "key")),
    "texts": Tally(
        "hash",
        _merge_texts,
        lambda rows: rows.sort("rows", "key", descending=[True, False]).head(NUM_TOP),
    ),
    "hosts": Tally(
        "host",
        _merge_hosts,
        lambda rows: rows.sort("rows", "host", descending=[True, False]).head(NUM_TOP),
    ),
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


def shown(name: str, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that are shown, given the candidates of every bucket."""
    if not found:
        return []
    return TALLIES[name].top(pl.DataFrame(found)).to_dicts()
