"""The tallies of a harvest: what each source gave, and where the candidates that are kept lie.

What a source gave is tallied as it is read, the rest file by file as candidates are written.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import polars as pl

from openalign.engines.parts import Summary
from openalign.engines.tallies import MergeTallies, Tally, TallyPiece, num_merged, pieces_of, shown
from openalign.files.facts import (
    CountedValue,
    HarvestFacts,
    HarvestSample,
    Ranking,
    SourceRows,
)
from openalign.ingest.candidates import FOUND, Harvested

NUM_TOP = 20
"""Sources, hosts and languages that are named."""

NUM_SAMPLES = 3
"""Candidates that are shown of each place that texts come from."""

_HOSTS, _LANGUAGES, _PLACES = "hosts", "languages", "places"
_TEXT_LANGUAGES = "text_languages"
_SAMPLES, _SOURCES = "samples", "sources"


def _add_counts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("value").agg(pl.col("rows").sum())


def _top_counts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("rows", "value", descending=[True, False]).head(NUM_TOP)


def _merge_samples(rows: pl.DataFrame) -> pl.DataFrame:
    # Keys are hashes, so the smallest ones are a sample that depends on no order.
    return rows.sort("key").group_by("found_in", maintain_order=True).head(NUM_SAMPLES)


def _shown_samples(rows: pl.DataFrame) -> pl.DataFrame:
    return _merge_samples(rows).sort("found_in", "key")


def _add_sources(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("source").agg(pl.col("pages", "found", "candidates").sum())


def _top_sources(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("found", "source", descending=[True, False]).head(NUM_TOP)


_COUNTED = Tally("value", _add_counts, _top_counts)

TALLIES = {
    _HOSTS: _COUNTED,
    _LANGUAGES: _COUNTED,
    _TEXT_LANGUAGES: _COUNTED,
    _PLACES: _COUNTED,
    _SAMPLES: Tally("found_in", _merge_samples, _shown_samples),
    _SOURCES: Tally("source", _add_sources, _top_sources),
}


def merged_tallies() -> MergeTallies:
    """Return the transform that merges the pieces of the functions below."""
    return MergeTallies(TALLIES)


def tally_source(piece: Harvested, *, num_buckets: int) -> Iterator[TallyPiece]:
    """Yield what a piece of a source adds; a piece that names no origin adds nothing."""
    if not piece.origin:
        return
    row = {
        "source": piece.origin,
        "pages": len(piece.pages),
        "found": piece.counts[FOUND],
        "candidates": piece.candidates.num_rows,
    }
    yield from _pieces(_SOURCES, pl.DataFrame([row]), num_buckets)


def tally_candidates(
    rows: pl.DataFrame, *, num_buckets: int, has_text_languages: bool
) -> Iterator[TallyPiece]:
    """Yield what the candidates of a file add.

    `has_text_languages` says that languages of texts were detected; a text may have none.
    """
    host = pl.col("image_url").str.splitn("/", 4).struct.field("field_2")
    counted = {
        _HOSTS: pl.when(host != "").then(host),  # an image that its bytes name is on no host
        _LANGUAGES: pl.col("page_language").fill_null(""),
        _PLACES: pl.col("found_in"),
    }
    if has_text_languages:
        counted[_TEXT_LANGUAGES] = pl.col("text_language").fill_null("")
    for name, value in counted.items():
        counts = rows.select(value.alias("value"), pl.lit(1, pl.Int64).alias("rows"))
        yield from _pieces(name, _add_counts(counts.drop_nulls()), num_buckets)
    samples = rows.select("found_in", "key", "alt_text", "image_url", "page_url")
    yield from _pieces(_SAMPLES, _merge_samples(samples), num_buckets)


def _pieces(name: str, rows: pl.DataFrame, num_buckets: int) -> Iterator[TallyPiece]:
    yield from pieces_of(name, TALLIES[name], rows, num_buckets=num_buckets)


def facts_of(
    summary: Summary, *, pages: dict[str, int], bad_records: dict[str, int]
) -> HarvestFacts:
    """Return the facts in a finished job's tallies.

    `pages` are counted by state, `bad_records` of archives by fault.
    """
    found = shown(summary, TALLIES)
    return HarvestFacts(
        pages=pages,
        bad_records=bad_records,
        sources=msgspec.convert(found[_SOURCES], list[SourceRows]),
        num_sources=num_merged(summary, _SOURCES),
        found_in={row["value"]: row["rows"] for row in found[_PLACES]},
        hosts=_ranking(summary, _HOSTS, found),
        languages=_ranking(summary, _LANGUAGES, found),
        text_languages=_ranking(summary, _TEXT_LANGUAGES, found),
        samples=msgspec.convert(found[_SAMPLES], list[HarvestSample]),
    )


def _ranking(summary: Summary, name: str, found: dict[str, list[dict[str, Any]]]) -> Ranking:
    top = msgspec.convert(found[name], list[CountedValue])
    return Ranking(top=top, num_values=num_merged(summary, name))
