"""Beam transforms that count the whole corpus before the rules run.

    Hashes -> (bucket, bytes)            partial counts, flushed on size
           -> one file a bucket          merged
           -> (bucket, its cut)          from one histogram over all buckets
           -> the frequent n-grams
    Hashes -> (side and bucket, bytes)   pairs of alt-text and image, capped
           -> the alt-texts on many images, the images with many alt-texts

Each set that they find lies under `work` as one sorted file a bucket. `join_set` joins them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
from apache_beam.pvalue import PCollection

from openalign.engines.buckets import at_the_end
from openalign.engines.parts import CollectLines, Note, Part, Summary
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.machine_copies import WrittenFile, path_here
from openalign.files.manifest import DataFile
from openalign.filtering.counts import frequency
from openalign.filtering.counts.frequency import Cut
from openalign.filtering.counts.tokens import U64
from openalign.filtering.thresholds import Frequent

FLUSH_ITEMS = 1 << 23
"""Hashes that a worker holds before it sends on what it counted: 64 MB, or 128 MB of pairs."""

NGRAMS, ALT_TEXTS, IMAGES = "ngrams", "alt_texts", "images"


@dataclass(frozen=True, slots=True)
class Hashes:
    """The share of a batch in the counts: `alt_texts[i]` is the hash of the text of `images[i]`."""

    alt_texts: U64
    images: U64
    ngrams: tuple[U64, ...] = ()


class Bucket(msgspec.Struct, frozen=True):
    """Facts about a bucket's counted n-grams; sent as JSON."""

    number: int
    histogram: list[tuple[int, int]]
    num_unigrams: int


_BUCKET = msgspec.json.Decoder(Bucket)
_WRITTEN = msgspec.json.Decoder(storage.Written)


class SetNote(Note, frozen=True, kw_only=True):
    """One bucket of a set was written."""

    name: str
    bucket: int
    num_odd: int
    """Members that are bigrams, where the set holds n-grams."""


class CutNote(Note, frozen=True, kw_only=True):
    """Where frequent n-grams end and rare ones begin."""

    count_at_cut: int
    num_tied_at_cut: int
    num_tied_kept: int
    num_kept: int
    num_occurrences: int
    num_occurrences_kept: int
    num_unigrams: int
    num_bigrams: int


@dataclass
class CountNgrams(beam.PTransform[Any, Any]):
    """Write the corpus's frequent n-grams under `work`, as Parts."""

    frequent: Frequent
    num_buckets: int
    work: str

    def expand(self, hashes: PCollection[Hashes]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the counts and the cut."""
        counted: Any = (
            hashes
            | "Count"
            >> beam.ParDo(_NgramPartials(self.num_buckets)).with_output_types(tuple[int, bytes])
            | "Gather" >> beam.GroupByKey()
            | "Merge" >> beam.MapTuple(self._merge).with_output_types(str)
        )
        buckets: Any = counted | "Buckets" >> CollectLines()
        cut: Any = (
            buckets
            | "Choose"
            >> beam.FlatMap(_cuts, frequent=self.frequent).with_output_types(
                tuple[int, tuple[int, int]]
            )
            | "Spread" >> beam.GroupByKey()
            | "Cut" >> beam.MapTuple(self._cut).with_output_types(str)
        )
        note: Any = buckets | "Say" >> beam.Map(
            _note_of_cut, frequent=self.frequent
        ).with_output_types(str)
        parts: Any = (cut, note) | beam.Flatten()
        return parts

    def _merge(self, bucket: int, pieces: Iterable[bytes]) -> str:
        distinct, counts = frequency.merge_counts(pieces)
        content = np.concatenate((distinct, counts.astype(np.uint64)))
        storage.write_bytes(self._counts_url(bucket), content.astype("<u8").tobytes())
        num_unigrams = len(distinct) - _num_odd(distinct)
        return canonical_json(Bucket(bucket, frequency.histogram(counts), num_unigrams))

    def _cut(self, bucket: int, cuts: Iterable[tuple[int, int]]) -> str:
        [(at_count, num_tied_kept)] = cuts
        content = np.frombuffer(storage.read_bytes(self._counts_url(bucket)), "<u8")
        distinct, counts = content.reshape(2, -1)
        kept = frequency.apply_cut(
            distinct, counts.astype(np.int64), at_count=at_count, num_tied_kept=num_tied_kept
        )
        return _write_set(self.work, NGRAMS, bucket, kept)

    def _counts_url(self, bucket: int) -> str:
        return storage.join(self.work, f"counts-{bucket:05d}.u64")


@dataclass
class CountPairs(beam.PTransform[Any, Any]):
    """Write the alt-texts on many images and the images with many alt-texts, as Parts."""

    max_images: int | None
    """Images that an alt-text may stand on; None asks only about images."""

    max_alt_texts: int
    """Alt-texts that an image may have."""

    num_buckets: int
    work: str

    def expand(self, hashes: PCollection[Hashes]) -> PCollection[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the counts."""
        limits = {IMAGES: self.max_alt_texts}
        if self.max_images is not None:
            limits[ALT_TEXTS] = self.max_images
        parts: Any = (
            hashes
            | "Count"
            >> beam.ParDo(_PairPartials(limits, self.num_buckets)).with_output_types(
                tuple[int, bytes]
            )
            | "Gather" >> beam.GroupByKey()
            | "Merge"
            >> beam.FlatMapTuple(partial(self._merge, limits=limits)).with_output_types(str)
        )
        return parts

    def _merge(self, key: int, pieces: Iterable[bytes], limits: dict[str, int]) -> Iterator[str]:
        name = list(limits)[key // self.num_buckets]
        keys = frequency.merge_pairs(pieces, limits[name])
        if len(keys):
            yield _write_set(self.work, name, key % self.num_buckets, keys)


class _Partials(beam.DoFn, ABC):
    """Collects counts of batches; sends them on when they are large and at the end of a bundle."""

    def start_bundle(self) -> None:
        self._held: list[Any] = []
        self._num_held = 0

    def process(self, element: Hashes) -> Iterator[tuple[int, bytes]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._held.append(element)
        self._num_held += self.num_items(element)
        if self._num_held >= FLUSH_ITEMS:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._held:
            yield from map(at_the_end, self._flush())

    def _flush(self) -> Iterator[tuple[int, bytes]]:
        held, self._held, self._num_held = self._held, [], 0
        yield from self.count(held)

    @abstractmethod
    def num_items(self, element: Hashes) -> int:
        """Return how much of the memory bound an element takes."""

    @abstractmethod
    def count(self, held: list[Hashes]) -> Iterator[tuple[int, bytes]]:
        """Return the counts of the held elements, in pieces of one bucket each."""


class _NgramPartials(_Partials):
    def __init__(self, num_buckets: int) -> None:
        self._num_buckets = num_buckets

    def num_items(self, element: Hashes) -> int:
        return sum(map(len, element.ngrams))

    def count(self, held: list[Hashes]) -> Iterator[tuple[int, bytes]]:
        hashes = np.concatenate([part for element in held for part in element.ngrams])
        yield from frequency.to_pieces(*frequency.count(hashes), self._num_buckets)


class _PairPartials(_Partials):
    def __init__(self, limits: dict[str, int], num_buckets: int) -> None:
        self._limits = limits
        self._num_buckets = num_buckets

    def num_items(self, element: Hashes) -> int:
        return len(element.images)

    def count(self, held: list[Hashes]) -> Iterator[tuple[int, bytes]]:
        alt_texts = np.concatenate([element.alt_texts for element in held])
        images = np.concatenate([element.images for element in held])
        sides = {ALT_TEXTS: (alt_texts, images), IMAGES: (images, alt_texts)}
        for place, (name, limit) in enumerate(self._limits.items()):
            pairs = frequency.cap_distinct(*sides[name], limit + 1)
            for bucket, piece in frequency.pairs_to_pieces(*pairs, self._num_buckets):
                yield place * self._num_buckets + bucket, piece


def open_set(url: str, *, work: str, name: str, stage: str) -> U64:
    """Return a set that `join_set` wrote to `url`, memory-mapped.

    A machine's workers share its pages.

    A remote file is copied once for all of them.

    Raises:
        StageError: it is not what `join_set` wrote, or there is no room for a copy.
    """
    written = _WRITTEN.decode(storage.read_bytes(_note_url(work, name)))
    if not written.num_bytes:  # an empty file cannot be mapped
        return np.zeros(0, np.uint64)
    file = WrittenFile(url=url, num_bytes=written.num_bytes, sha256=written.sha256)
    return np.memmap(path_here(file, stage=stage), "<u8", "r")


def join_set(summary: Summary, work: str, name: str, url: str) -> DataFile:
    """Join a set's buckets into one sorted file at `url`; return its manifest entry.

    A note under `work` says what was written, for `open_set`.
    """
    found = [note.bucket for note in summary.notes(SetNote) if note.name == name]
    with storage.local_target(url) as target, open(target.path, "wb") as sink:  # noqa: PTH123  # a local temporary name
        sink.writelines(storage.read_bytes(_set_url(work, name, b)) for b in sorted(found))
    assert target.written is not None
    storage.write_bytes(_note_url(work, name), msgspec.json.encode(target.written))
    num_rows = target.written.num_bytes // 8
    return DataFile.of(url.rsplit("/", 1)[-1], target.written, num_rows=num_rows)


def _cuts(lines: list[str], *, frequent: Frequent) -> Iterator[tuple[int, tuple[int, int]]]:
    """Send each bucket its cut: the count, and how many n-grams with exactly it are kept."""
    cut = _choose_cut(_parse(lines), frequent)
    for bucket, num_tied_kept in cut.tied_kept.items():
        yield bucket, (cut.at_count, num_tied_kept)


def _parse(lines: list[str]) -> list[Bucket]:
    return [_BUCKET.decode(line) for line in lines]


def _choose_cut(buckets: list[Bucket], frequent: Frequent) -> Cut:
    return frequency.choose_cut({b.number: b.histogram for b in buckets}, frequent)


def _note_of_cut(lines: list[str], *, frequent: Frequent) -> str:
    buckets = _parse(lines)
    cut = _choose_cut(buckets, frequent)
    occurrences = sum(value * number for b in buckets for value, number in b.histogram)
    kept = sum(n * c for b in buckets for c, n in b.histogram if c > cut.at_count)
    distinct = sum(number for b in buckets for _, number in b.histogram)
    num_unigrams = sum(b.num_unigrams for b in buckets)
    note = CutNote(
        count_at_cut=cut.at_count,
        num_tied_at_cut=cut.num_tied,
        num_tied_kept=cut.num_tied_kept,
        num_kept=cut.num_kept,
        num_occurrences=occurrences,
        num_occurrences_kept=kept + cut.num_tied_kept * cut.at_count,
        num_unigrams=num_unigrams,
        num_bigrams=distinct - num_unigrams,
    )
    return Part(notes=[note]).to_json()


def _write_set(work: str, name: str, bucket: int, hashes: U64) -> str:
    storage.write_bytes(_set_url(work, name, bucket), hashes.astype("<u8").tobytes())
    note = SetNote(name=name, bucket=bucket, num_odd=_num_odd(hashes))
    return Part(notes=[note], counts={set_count(name): len(hashes)}).to_json()


def set_count(name: str) -> str:
    """Return the count of a set's members in a job's summary."""
    return f"set_{name}"


def set_file(name: str) -> str:
    """Return the name of a set's joined file in a work folder."""
    return f"{name}.u64"


def _note_url(work: str, name: str) -> str:
    return storage.join(work, f"{name}.json")


def _set_url(work: str, name: str, bucket: int) -> str:
    return storage.join(work, f"{name}-{bucket:05d}.u64")


def _num_odd(hashes: U64) -> int:
    return int((hashes & np.uint64(1)).sum())
