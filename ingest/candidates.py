"""The pieces that every source hands to `harvest`, and how duplicate candidates become one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa

from openalign.files.facts import DamagedFile
from openalign.files.hashing import candidate_key
from openalign.files.schemas import CANDIDATE
from openalign.files.states import HarvestState

FOUND = "found"
"""Count of all pairs that a source found, whatever state they ended in."""

LANGUAGE_LABEL = r"^([a-z]{2,8})(?:[-_].*)?$"
"""A lower-case language label; its primary subtag is what `page_language` holds."""

SURVIVOR_ORDER = ("key", "page_url", "found_in", "raw_image_url")
"""Of candidates with the same key, the first in this order stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvested:
    """A piece of a source's findings."""

    candidates: pa.RecordBatch
    counts: Counter[str]
    """`FOUND`, and each `HarvestState` that a pair without a candidate ended in. `FOUND` is the
    number of candidates and of those pairs together."""

    pages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Rows of `schemas.PAGE`; only a source that reads pages has some."""

    origin: str = ""
    """The file or site that gave the piece, as the harvest's page names it."""

    bad_records: Counter[str] = field(default_factory=Counter[str])
    """Records of archives that gave nothing, by `RecordFault`."""

    damaged_files: Sequence[DamagedFile] = ()
    """Files that could not be read, or not to their end. A damaged file does not end a harvest;
    the run names it at its end."""


def candidate_row(
    *,
    image_url: str,
    alt_text: str,
    found_in: str,
    raw_image_url: str,
    page_url: str | None = None,
    page_language: str | None = None,
    expected_sha256: str | None = None,
    carried: str | None = None,
    locator: str | None = None,
    address_from: str | None = None,
) -> dict[str, Any]:
    """Return a row of `schemas.CANDIDATE` of a source that has no archive."""
    return {
        "key": candidate_key(image_url, alt_text),
        "image_url": image_url,
        "alt_text": alt_text,
        "page_url": page_url,
        "found_in": found_in,
        "raw_image_url": raw_image_url,
        "archive": None,
        "archive_offset": None,
        "page_language": page_language,
        "expected_sha256": expected_sha256,
        "carried": carried,
        "locator": locator,
        "address_from": address_from,
        "text_language": None,
    }


def to_batch(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Return candidate rows as a batch."""
    return pa.RecordBatch.from_pylist(list(rows), schema=CANDIDATE)


def as_candidates(rows: pl.DataFrame) -> pa.RecordBatch:
    """Return rows as `schemas.CANDIDATE`; columns that they lack are null."""
    columns = [
        pl.col(name) if name in rows.columns else pl.lit(None).alias(name)
        for name in CANDIDATE.names
    ]
    table = rows.select(columns).to_arrow().cast(CANDIDATE).combine_chunks()
    return next(iter(table.to_batches()), to_batch([]))


def damaged_file(name: str, reason: str) -> Harvested:
    """Return the piece that says that a file could not be read, or not to its end."""
    damaged = DamagedFile(name=name, reason=reason)
    return Harvested(
        candidates=to_batch([]), counts=Counter(), origin=name, damaged_files=[damaged]
    )


def collapse_duplicates(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Keep the first row of each key and count the others. Rows must be in `SURVIVOR_ORDER`."""
    kept = rows.unique("key", keep="first", maintain_order=True)
    return kept, {
        HarvestState.KEPT.value: kept.height,
        HarvestState.DUPLICATE.value: rows.height - kept.height,
    }
