"""Candidates on their way to the workers that fetch them: cut into ranges, in files of `work/`.

A shuffle would hold all of a bucket at once. Here each worker that reads candidates writes files of
its own, with the pieces of all ranges one behind the other and their places at the end. Who fetches
a bucket reads it range by range, from all of the files, and sorts one range at a time.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import PCollection, TaggedOutput

from openalign.engines.arrow_bytes import gathered
from openalign.engines.buckets import BucketCutter, at_the_end
from openalign.engines.parts import Note, Part, read_summary
from openalign.engines.tallies import MAX_TALLY_BUCKETS, HeldTallies
from openalign.files import storage
from openalign.ingest.fetching.slow_hosts import HOSTS, TALLIES, count_hosts, merged_hosts
from openalign.ingest.fetching.work_plan import (
    Numbers,
    WorkPlan,
    read_plan,
    with_image_keys,
)

_PLACE_FIELDS = 3
"""Of a piece: its range, offset and length, as little-endian 64-bit numbers."""

_PLACE_BYTES = 8 * _PLACE_FIELDS


class WorkFileNote(Note, frozen=True, kw_only=True):
    """A file of candidates."""

    name: str
    places_offset: int
    num_pieces: int


@dataclass
class CutIntoFiles(beam.PTransform[Any, Any]):
    """Write batches of candidates into work files, and count those of slow hosts, as Parts."""

    plan_url: str
    folder: str

    def expand(self, batches: PCollection[pa.RecordBatch]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the cut and the write."""
        write: Any = beam.ParDo(_Write(plan_url=self.plan_url, folder=self.folder))
        types = write.with_output_types(str, hosts=tuple[str, bytes])
        written: Any = batches | "Write" >> types.with_outputs("hosts", main="parts")
        slow: Any = written["hosts"] | "SlowHosts" >> merged_hosts()
        parts: Any = (written["parts"], slow) | beam.Flatten()
        return parts


class _Write(beam.DoFn):
    def __init__(self, *, plan_url: str, folder: str) -> None:
        self._plan_url = plan_url
        self._folder = folder

    def setup(self) -> None:
        self._plan = read_plan(self._plan_url)

    def start_bundle(self) -> None:
        num_ranges = int(self._plan.first_ranges[-1])
        self._cutter = BucketCutter(self._ranges_of, num_ranges)
        num_buckets = min(self._plan.num_buckets, MAX_TALLY_BUCKETS)
        self._hosts = HeldTallies(TALLIES, num_buckets=num_buckets)

    def process(self, element: pa.RecordBatch) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = with_image_keys(element)
        for batch in rows.to_arrow().to_batches():
            yield from self._write(self._cutter.add(batch))
        hosts = self._plan.slow_hosts_of(rows)
        if len(hosts):
            for piece in self._hosts.add(HOSTS, count_hosts(hosts)):
                yield TaggedOutput("hosts", piece)

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from map(at_the_end, self._write(self._cutter.flush()))
        for piece in self._hosts.flush():
            yield TaggedOutput("hosts", at_the_end(piece))

    def _ranges_of(self, batch: pa.RecordBatch) -> Numbers:
        return self._plan.ranges_of(pl.DataFrame(batch))

    def _write(self, pieces: Iterator[tuple[int, bytes]]) -> Iterator[str]:
        first = next(pieces, None)
        if first is None:
            return
        name = f"candidates-{uuid.uuid4().hex}"
        places: list[tuple[int, int, int]] = []
        offset = 0
        with (
            storage.local_target(storage.join(self._folder, name)) as target,
            Path(target.path).open("wb") as file,
        ):
            for number, piece in (first, *pieces):
                places.append((number, offset, len(piece)))
                offset += file.write(piece)
            file.write(np.array(places, "<i8").tobytes())
        note = WorkFileNote(name=name, places_offset=offset, num_pieces=len(places))
        yield Part(notes=[note]).to_json()


class WorkFiles:
    """The candidates of one bucket, in the order of their images' keys."""

    def __init__(self, folder: str, *, summary_url: str, plan: WorkPlan, bucket: int) -> None:
        first, end = plan.first_ranges[bucket : bucket + 2].tolist()
        self._ranges = range(first, end)
        self._places = [
            (storage.join(folder, note.name), places)
            for note in sorted(read_summary(summary_url).notes(WorkFileNote), key=lambda n: n.name)
            if len(places := _places_in(folder, note, self._ranges))
        ]

    def sorted_ranges(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of each range that has any, sorted by image and key."""
        for number in self._ranges:
            pieces = [
                storage.read_range(url, offset, length)
                for url, places in self._places
                for _, offset, length in places[places[:, 0] == number].tolist()
            ]
            if pieces:
                yield gathered(pieces).sort("image_key", "key")


def _places_in(folder: str, note: WorkFileNote, ranges: range) -> Numbers:
    content = storage.read_range(
        storage.join(folder, note.name), note.places_offset, note.num_pieces * _PLACE_BYTES
    )
    places = np.frombuffer(content, "<i8").reshape(-1, _PLACE_FIELDS)
    # A copy, so that the places of other buckets are let go.
    return places[(places[:, 0] >= ranges.start) & (places[:, 0] < ranges.stop)].copy()


def cut_by_count(frames: Iterator[pl.DataFrame], images_per_shard: int) -> Iterator[pl.DataFrame]:
    """Yield sorted rows again, so many images at a time; the last ones may be fewer."""
    held: list[pl.DataFrame] = []
    num_held = 0
    for frame in frames:
        rows = frame
        while rows.height:
            # All rows of an image are in one frame.
            number = rows["image_key"].rle_id()
            room = images_per_shard - num_held
            fitting = int(number.search_sorted(room, side="left"))
            held.append(rows[:fitting])
            num_held += min(room, int(number[-1]) + 1)
            rows = rows[fitting:]
            if num_held == images_per_shard:
                yield pl.concat(held, rechunk=True)
                held, num_held = [], 0
    if held:
        yield pl.concat(held, rechunk=True)
