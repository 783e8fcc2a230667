"""Read image URLs and captions from tables, wherever fsspec reaches."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import PCollection

from openalign.engines.batches import Paths
from openalign.errors import InputError
from openalign.files.hashing import candidate_keys
from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.candidates import (
    FOUND,
    LANGUAGE_LABEL,
    Harvested,
    as_candidates,
    damaged_file,
)
from openalign.ingest.sources.source_files import folder_of, name_in
from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.table_conditions import holds
from openalign.ingest.sources.url_tables.cells import as_records
from openalign.ingest.sources.url_tables.formats import read_rows
from openalign.ingest.sources.url_tables.text import as_text, is_text
from openalign.ingest.web.urls import canonical_urls
from openalign.ingest.webpage.text_columns import WHITE_SPACE, collapse_each

_SHA256 = r"^([0-9a-f]{64})$"
_JSON = msgspec.json.Encoder(order="sorted")


@dataclass
class ReadPairs(beam.PTransform[Any, Any]):
    """Read all files of a table, spread over the workers."""

    urls: Sequence[str]
    source: TableSource

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        folder = folder_of(self.source.path, self.urls)
        read: Any = beam.FlatMap(read_file, source=self.source, folder=folder)
        return pipeline | Paths(self.urls) | "Read" >> read


def read_file(url: str, *, source: TableSource, folder: str) -> Iterator[Harvested]:
    """Yield the candidates of one file; of one that is damaged, those before the damage.

    `folder` is where names of files begin.
    """
    name = name_in(folder, url)
    try:
        yield from read_candidates(url, source=source, origin=name)
    except InputError as error:
        yield damaged_file(name, str(error).removeprefix(url).lstrip(": "))


def read_candidates(url: str, *, source: TableSource, origin: str = "") -> Iterator[Harvested]:
    """Yield the candidates of one file, in its order, batch by batch.

    A row with a list of captions is as many pairs; one without a caption is a pair without a text.

    Raises:
        InputError: the file is damaged.
    """
    for rows in read_rows(url, source):
        counts = Counter({HarvestState.BAD_ROW.value: rows.num_bad})
        read = _matching(rows.batch, source)
        counts[HarvestState.LEFT_OUT.value] = rows.batch.num_rows - read.num_rows
        pairs = _pairs(read, source)
        states = pairs["state"].drop_nulls().value_counts()
        counts.update(dict(states.iter_rows()))
        counts[FOUND] = rows.num_bad + counts[HarvestState.LEFT_OUT.value] + pairs.height
        yield Harvested(candidates=_candidates(pairs), counts=+counts, origin=origin)


def _matching(batch: pa.RecordBatch, source: TableSource) -> pa.RecordBatch:
    """Return the rows that meet every condition."""
    for condition in source.conditions:
        column = batch.column(condition.column)
        values = pl.Series(as_text(column) if is_text(column.type) else column)
        batch = batch.filter(holds(condition, values).to_arrow())
    return batch


def _pairs(batch: pa.RecordBatch, source: TableSource) -> pl.DataFrame:
    """Return a row for each caption, with the state of a pair that is no candidate."""
    columns = source.columns
    nothing = pa.nulls(batch.num_rows, pa.large_string())
    table = pa.table(
        {
            "url": as_text(batch.column(columns.url)),
            "caption": as_text(batch.column(columns.caption)),
            "language": as_text(batch.column(columns.language)) if columns.language else nothing,
            "sha256": as_text(batch.column(columns.sha256)) if columns.sha256 else nothing,
            "carried": _carried(batch, source.carry_columns) if source.carry_columns else nothing,
        }
    )
    rows = pl.DataFrame(table)
    if isinstance(rows.schema["caption"], pl.List):
        rows = rows.explode("caption", empty_as_null=True, keep_nulls=True)
    raw_urls = rows["url"].fill_null("").str.strip_chars(WHITE_SPACE)
    pairs = rows.with_columns(
        raw_image_url=raw_urls,
        image_url=canonical_urls(_with_scheme(raw_urls)),
        alt_text=collapse_each(rows["caption"].fill_null("")),
    )
    raw_start = pl.col("raw_image_url").str.head(5).str.to_lowercase()
    return pairs.with_columns(
        state=pl.when(pl.col("alt_text") == "")
        .then(pl.lit(HarvestState.NO_ALT_TEXT.value))
        .when(raw_start == "data:")
        .then(pl.lit(HarvestState.DATA_URL.value))
        .when(pl.col("image_url").is_null())
        .then(pl.lit(HarvestState.BAD_URL.value))
    )


def _with_scheme(raw_urls: pl.Series) -> pl.Series:
    """Return addresses with https where they name no scheme."""
    is_without = raw_urls.str.starts_with("//")
    return ("https:" + raw_urls).zip_with(is_without, raw_urls) if is_without.any() else raw_urls


def _carried(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Return the columns that travel along, each row as one JSON object."""
    rows = as_records(batch.select(list(columns)))
    return pa.array([_JSON.encode(row).decode() for row in rows], pa.large_string())


def _candidates(pairs: pl.DataFrame) -> pa.RecordBatch:
    """Return the pairs that are candidates, as `schemas.CANDIDATE`."""
    kept = pairs.filter(pl.col("state").is_null())
    labels = pl.col("language", "sha256").str.strip_chars().str.to_lowercase()
    rows = kept.with_columns(
        labels,
        key=candidate_keys(kept["image_url"], kept["alt_text"]),
        found_in=pl.lit(FoundIn.TABLE.value),
    ).with_columns(
        page_language=pl.col("language").str.extract(LANGUAGE_LABEL),
        expected_sha256=pl.col("sha256").str.extract(_SHA256),
    )
    return as_candidates(rows)
