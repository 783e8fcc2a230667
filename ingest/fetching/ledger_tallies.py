"""The tallies of a fetch, from its ledgers: hosts, statuses, sizes, and samples of each state.

All rows of an image lie in one ledger, so what is counted ledger by ledger is exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import polars as pl
from apache_beam.pvalue import PCollection

from openalign.engines.buckets import at_the_end
from openalign.engines.parts import Summary
from openalign.engines.tallies import (
    MAX_TALLY_BUCKETS,
    HeldTallies,
    MergeTallies,
    Tally,
    num_merged,
    shown,
)
from openalign.files.facts import FetchSample, FetchTallies, HostImages, SizeKind, SizeRange
from openalign.files.names import index_name, shard_of_ledger
from openalign.files.states import FetchState
from openalign.files.tables import read_table
from openalign.ingest.web.urls import hosts_of

NUM_TOP_HOSTS = 20
"""Hosts that are named of those with the most images, and of those with the most losses."""

NUM_IMAGES = 24
"""Fetched images that are shown."""

NUM_EXAMPLES = 3
"""Images that are named of each other state."""

SIDES_PX = (0, 32, 64, 100, 150, 200, 256, 346, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
FILE_BYTES = tuple(1000 * n for n in (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000))
"""Where ranges of sizes begin."""

_HOSTS, _STATUSES, _SIZES, _SAMPLES = "hosts", "statuses", "sizes", "samples"
_COLUMNS = (
    "image_key",
    "image_url",
    "alt_text",
    "state",
    "detail",
    "http_status",
    "width_px",
    "height_px",
    "num_bytes",
    "shard",
)


def _add_hosts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("host").agg(pl.col("images", "fetched", "num_bytes").sum())


def _top_hosts(rows: pl.DataFrame) -> pl.DataFrame:
    tops = (_hosts_by(rows, pl.col("images")), _hosts_by(rows, _LOST))
    return pl.concat(tops).unique().sort("host")


_LOST = pl.col("images") - pl.col("fetched")


def _hosts_by(rows: pl.DataFrame, number: pl.Expr) -> pl.DataFrame:
    order = rows.filter(number > 0).sort(number, "host", descending=[True, False])
    return order.head(NUM_TOP_HOSTS)


def _add_images(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by(pl.exclude("images")).agg(pl.col("images").sum())


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort(pl.exclude("images"))


def _merge_samples(rows: pl.DataFrame) -> pl.DataFrame:
    # Keys are hashes, so the smallest ones are a sample that depends on no order.
    place = pl.int_range(pl.len()).over("state")
    is_fetched = pl.col("state") == FetchState.FETCHED.value
    wanted = pl.when(is_fetched).then(NUM_IMAGES).otherwise(NUM_EXAMPLES)
    return rows.sort("state", "image_key").filter(place < wanted)


TALLIES = {
    _HOSTS: Tally("host", _add_hosts, _top_hosts),
    _STATUSES: Tally("status", _add_images, _in_order),
    _SIZES: Tally("kind", _add_images, _in_order),
    _SAMPLES: Tally("state", _merge_samples, _merge_samples),
}


def tally_ledger(ledger: pl.DataFrame, *, index_file: str) -> dict[str, pl.DataFrame]:
    """Return what the rows of a ledger, sorted by key, add to each tally."""
    images = ledger.select(_COLUMNS).unique("image_key", keep="first", maintain_order=True)
    is_fetched = pl.col("state") == FetchState.FETCHED.value
    fetched = images.filter(is_fetched)
    one = pl.lit(1, pl.Int64)
    hosts = images.select(
        host=hosts_of(images["image_url"]),
        images=one,
        fetched=is_fetched.cast(pl.Int64),
        num_bytes=pl.when(is_fetched).then("num_bytes").otherwise(0),
    )
    statuses = images.select(status=pl.col("http_status").cast(pl.String), images=one)
    samples = images.select(
        *("state", "image_key", "image_url", "alt_text", "detail", "shard"),
        index_file=pl.when(is_fetched).then(pl.lit(index_file)),
    )
    return {
        _HOSTS: _add_hosts(hosts.filter(pl.col("host") != "")),  # an image on no web has none
        _STATUSES: _add_images(statuses.drop_nulls()),
        _SIZES: pl.concat([_sizes(kind, fetched) for kind in SizeKind]),
        _SAMPLES: _merge_samples(samples),
    }


def _sizes(kind: SizeKind, images: pl.DataFrame) -> pl.DataFrame:
    column = {
        SizeKind.SHORT_SIDE: pl.min_horizontal("width_px", "height_px"),
        SizeKind.WIDTH: pl.col("width_px"),
        SizeKind.HEIGHT: pl.col("height_px"),
        SizeKind.NUM_BYTES: pl.col("num_bytes"),
    }[kind]
    edges = np.array(FILE_BYTES if kind is SizeKind.NUM_BYTES else SIDES_PX)
    sizes = images.select(size=column).to_series().to_numpy()
    at_least = edges[np.searchsorted(edges, sizes, side="right") - 1]
    rows = pl.DataFrame({"at_least": at_least}, schema={"at_least": pl.Int64})
    return _add_images(
        rows.select(pl.lit(kind.value).alias("kind"), "at_least", images=pl.lit(1, pl.Int64))
    )


@dataclass
class TallyLedgers(beam.PTransform[Any, Any]):
    """Tally ledgers, given by their URLs, as Parts."""

    num_buckets: int

    def expand(self, urls: PCollection[str]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the reading and the merge."""
        tally: Any = beam.ParDo(_TallyOneLedger(min(self.num_buckets, MAX_TALLY_BUCKETS)))
        pieces: Any = urls | "Tally" >> tally.with_output_types(tuple[str, bytes])
        return pieces | "Merge" >> MergeTallies(TALLIES)


class _TallyOneLedger(beam.DoFn):
    def __init__(self, num_buckets: int) -> None:
        self._num_buckets = num_buckets

    def start_bundle(self) -> None:
        self._held = HeldTallies(TALLIES, num_buckets=self._num_buckets)

    def process(self, element: str) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        index_file = index_name(shard_of_ledger(element.rpartition("/")[2]))
        ledger = pl.DataFrame(read_table(element, columns=_COLUMNS))
        for name, rows in tally_ledger(ledger, index_file=index_file).items():
            yield from self._held.add(name, rows)

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from map(at_the_end, self._held.flush())


def tallies_of(summary: Summary) -> FetchTallies:
    """Return the tallies in a finished job's summary."""
    found = shown(summary, TALLIES)
    hosts = pl.DataFrame(found[_HOSTS], schema=_HOST_ROWS)
    sizes = {kind.value: [r for r in found[_SIZES] if r["kind"] == kind] for kind in SizeKind}
    return FetchTallies(
        hosts_by_images=_hosts(_hosts_by(hosts, pl.col("images"))),
        hosts_by_losses=_hosts(_hosts_by(hosts, _LOST)),
        num_hosts=num_merged(summary, _HOSTS),
        statuses={row["status"]: row["images"] for row in found[_STATUSES]},
        sizes={
            kind: [SizeRange(at_least=r["at_least"], images=r["images"]) for r in rows]
            for kind, rows in sizes.items()
            if rows
        },
        samples=msgspec.convert(found[_SAMPLES], list[FetchSample]),
    )


_HOST_ROWS = {"host": pl.String, "images": pl.Int64, "fetched": pl.Int64, "num_bytes": pl.Int64}


def _hosts(rows: pl.DataFrame) -> list[HostImages]:
    return msgspec.convert(rows.to_dicts(), list[HostImages])
