"""Tallies for people, beside the numbers: largest hosts, most frequent texts, examples.

A tally is a small table that merges in any order. Rows with equal values meet in one bucket of a
shuffle, so what they add up to is exact. Only the rows that may be shown leave a bucket.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.pvalue import PCollection

from openalign.engines.arrow_bytes import gathered
from openalign.engines.buckets import cut, hash_buckets
from openalign.engines.parts import Note, Part, Summary


@dataclass(frozen=True, slots=True)
class Tally:
    """How one kind of tally is merged, and which of its rows are shown."""

    by: str
    """The column whose equal values must meet to be merged."""

    merged: Callable[[pl.DataFrame], pl.DataFrame]
    top: Callable[[pl.DataFrame], pl.DataFrame]


Tallies = Mapping[str, Tally]
"""The tallies of a job, by name."""

MAX_TALLY_BUCKETS = 64
"""Of 50 million hosts a worker that merges one part then holds 0.8 million."""

MAX_HELD_ROWS = 1_000_000
"""Rows of tallies that a worker holds before it merges them."""

TallyPiece = tuple[str, bytes]
"""A piece of a tally on its way to its bucket."""


class TallyNote(Note, frozen=True, kw_only=True):
    """The rows of one bucket of a tally that may be shown."""

    name: str
    """A key of `Tallies`."""

    rows: list[dict[str, Any]]

    num_merged: int
    """All rows of the bucket, once they are merged."""


def pieces_of(
    name: str, tally: Tally, rows: pl.DataFrame, *, num_buckets: int
) -> Iterator[TallyPiece]:
    """Cut a tally's rows into pieces of one bucket each."""
    for batch in rows.to_arrow().combine_chunks().to_batches():
        buckets = hash_buckets(batch, by=tally.by, num_buckets=num_buckets)
        yield from ((f"{name}-{bucket}", piece) for bucket, piece in cut(batch, buckets))


class HeldTallies:
    """Tallies that a worker holds and merges before it cuts them: many files make few pieces."""

    def __init__(self, tallies: Tallies, *, num_buckets: int) -> None:
        self._tallies = tallies
        self._num_buckets = num_buckets
        self._held: dict[str, list[pl.DataFrame]] = {}
        self._num_rows = 0

    def add(self, name: str, rows: pl.DataFrame) -> Iterator[TallyPiece]:
        """Take rows in; yield the pieces of all that is held, if that is a lot even when merged."""
        self._held.setdefault(name, []).append(on_their_own(rows))
        self._num_rows += rows.height
        if self._num_rows < MAX_HELD_ROWS:
            return
        self._merge()
        if self._num_rows >= MAX_HELD_ROWS // 2:
            yield from self.flush()

    def flush(self) -> Iterator[TallyPiece]:
        """Yield the pieces of all that is held."""
        self._merge()
        held, self._held, self._num_rows = self._held, {}, 0
        for name, frames in held.items():
            for rows in frames:
                yield from pieces_of(name, self._tallies[name], rows, num_buckets=self._num_buckets)

    def _merge(self) -> None:
        self._held = {
            name: [self._tallies[name].merged(pl.concat(frames))]
            for name, frames in self._held.items()
        }
        self._num_rows = sum(frames[0].height for frames in self._held.values())


def on_their_own(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a copy: rows that were taken out of a table hold the buffers of all its texts."""
    copied = pl.from_arrow(rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    assert isinstance(copied, pl.DataFrame)
    return copied


@dataclass
class MergeTallies(beam.PTransform[Any, Any]):
    """Merge pieces of tallies into notes, as Parts. A worker holds one bucket at a time."""

    tallies: Tallies

    def expand(self, pieces: PCollection[TallyPiece]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the shuffle and the merge."""
        merge: Any = beam.MapTuple(partial(_merged, tallies=self.tallies))
        by_bucket: Any = pieces | "Gather" >> beam.GroupByKey()
        return by_bucket | "MergeTallies" >> merge.with_output_types(str)


def _merged(key: str, pieces: Iterable[bytes], *, tallies: Tallies) -> str:
    name = key.rpartition("-")[0]
    tally = tallies[name]
    merged = tally.merged(gathered(pieces))
    note = TallyNote(name=name, rows=tally.top(merged).to_dicts(), num_merged=merged.height)
    return Part(notes=[note]).to_json()


def shown(summary: Summary, tallies: Tallies) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each tally that are shown."""
    notes = summary.notes(TallyNote)
    found = {
        name: [row for note in notes if note.name == name for row in note.rows] for name in tallies
    }
    return {
        name: tallies[name].top(pl.DataFrame(rows)).to_dicts() if rows else []
        for name, rows in found.items()
    }


def num_merged(summary: Summary, name: str) -> int:
    """Return how many rows a tally has in all."""
    return sum(note.num_merged for note in summary.notes(TallyNote) if note.name == name)
