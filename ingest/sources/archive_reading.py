"""Read archives in a Beam job: one archive at a time, its pages piece by piece."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from openalign.files.states import PageState, RecordFault
from openalign.ingest.candidates import FOUND, Harvested, candidate_row, damaged_file, to_batch
from openalign.ingest.sources.archives.content import opened
from openalign.ingest.sources.archives.found import Archive
from openalign.ingest.sources.archives.http_stream import HttpManners, HttpReader
from openalign.ingest.sources.archives.tape import ArchiveError, Source
from openalign.ingest.webpage.page import PageContent

PIECE_ROWS = 20_000
"""Candidates and pages of a piece, after which the next one begins."""


@dataclass(slots=True, kw_only=True)
class ArchivedPage:
    """A page of an archive, and how it ended."""

    url: str
    """As the archive has it."""

    final_url: str | None
    """Canonical; None where it has no such form."""

    state: PageState
    http_status: int | None
    content: PageContent | None
    archive: str
    offset: int


ReadPages = Callable[[Source, str], Iterator[ArchivedPage | RecordFault]]
"""Yields the pages of an archive, given its bytes and its name, and a fault for each bad record."""


@dataclass
class ReadArchives(beam.PTransform[Any, Any]):
    """Read all archives, spread over the workers.

    Archives on web servers are shared out among a fixed number of readers, each of which is one
    piece of work with a fixed share of the requests. So no server gets more, however many workers
    there are, and none has to know of another.
    """

    archives: Sequence[Archive]
    read: ReadPages
    manners: HttpManners
    num_http_readers: int

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        pieces: Any = (
            pipeline
            | "Start" >> beam.Impulse()
            | "Share out" >> beam.FlatMap(self._share_out).with_output_types(tuple[int, Archive])
            | "Spread" >> beam.GroupByKey()
            | "Read" >> beam.FlatMapTuple(self._read)
        )
        return pieces

    def _share_out(self, _: bytes) -> Iterator[tuple[int, Archive]]:
        for number, archive in enumerate(self.archives):
            reader = number % self.num_http_readers
            yield reader if archive.is_on_web else self.num_http_readers + number, archive

    def _read(self, _: int, archives: Iterable[Archive]) -> Iterator[Harvested]:
        reader = HttpReader(self.manners)
        for archive in sorted(archives):
            yield from read_archive(archive, self.read, reader)


def read_archive(archive: Archive, read: ReadPages, reader: HttpReader) -> Iterator[Harvested]:
    """Yield the pages of an archive, in its order, piece by piece, as far as it can be read."""
    piece = _Piece()
    try:
        with opened(archive.url, reader) as stream:
            for found in read(stream, archive.name):
                piece.add(found)
                if piece.num_rows >= PIECE_ROWS:
                    yield piece.harvested()
                    piece = _Piece()
    except ArchiveError as error:
        yield damaged_file(archive.name, str(error))
    yield piece.harvested()


@dataclass
class _Piece:
    """The pages of an archive that are handed on together."""

    pages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    candidates: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    counts: Counter[str] = field(default_factory=Counter[str])
    bad_records: Counter[str] = field(default_factory=Counter[str])

    @property
    def num_rows(self) -> int:
        """Return how many rows the piece has."""
        return len(self.pages) + len(self.candidates)

    def add(self, found: ArchivedPage | RecordFault) -> None:
        """Add a page, or count a bad record."""
        if isinstance(found, RecordFault):
            self.bad_records[found.value] += 1
            return
        content = found.content or PageContent()
        self.pages.append(
            {
                "page_url": found.url,
                "final_url": found.final_url,
                "depth": None,
                "state": found.state.value,
                "http_status": found.http_status,
                "num_candidates": len(content.pairs),
            }
        )
        self.counts.update(content.dropped)
        self.counts[FOUND] += len(content.pairs) + content.dropped.total()
        self.candidates += [
            candidate_row(
                image_url=pair.image_url,
                alt_text=pair.alt_text,
                found_in=pair.found_in,
                raw_image_url=pair.raw_image_url,
                page_url=found.final_url,
                page_language=pair.language,
                address_from=pair.address_from,
                archive=found.archive,
                archive_offset=found.offset,
            )
            for pair in content.pairs
        ]

    def harvested(self) -> Harvested:
        """Return the piece as every source hands it on."""
        return Harvested(
            candidates=to_batch(self.candidates),
            counts=self.counts,
            pages=self.pages,
            bad_records=self.bad_records,
        )
