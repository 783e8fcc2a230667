"""Read archives in a Beam job: one archive at a time, its pages piece by piece."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from openalign.files.hashing import candidate_key
from openalign.files.schemas import CANDIDATE
from openalign.files.states import PageState, RecordFault
from openalign.ingest.candidates import FOUND, Harvested, damaged_file
from openalign.ingest.sources.archives.content import opened
from openalign.ingest.sources.archives.found import Archive
from openalign.ingest.sources.archives.http_stream import HttpManners, HttpReader
from openalign.ingest.sources.archives.tape import ArchiveError, Source
from openalign.ingest.webpage.page import PageContent

_OF_PAIR = {
    "image_url": attrgetter("image_url"),
    "alt_text": attrgetter("alt_text"),
    "found_in": attrgetter("found_in"),
    "raw_image_url": attrgetter("raw_image_url"),
    "address_from": attrgetter("address_from"),
    "page_language": attrgetter("language"),
}
"""The columns of a candidate that a `FoundPair` fills."""

_OF_PAGE = ("page_url", "archive", "archive_offset")
"""Those that are the same for all pairs of a page."""

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
    piece = _PieceBuilder(archive.name)
    try:
        with opened(archive.url, reader) as stream:
            for found in read(stream, archive.name):
                piece.add(found)
                if piece.num_rows >= PIECE_ROWS:
                    yield piece.harvested()
                    piece = _PieceBuilder(archive.name)
    except ArchiveError as error:
        yield damaged_file(archive.name, str(error))
    yield piece.harvested()


class _PieceBuilder:
    """The pages of an archive that are handed on together."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._pages: list[dict[str, Any]] = []
        self._columns: dict[str, list[Any]] = {name: [] for name in (*_OF_PAIR, *_OF_PAGE)}
        """Of the candidates; a batch is made of whole columns, which is faster than of rows."""

        self._counts: Counter[str] = Counter()
        self._bad_records: Counter[str] = Counter()

    @property
    def num_rows(self) -> int:
        """Return how many rows the piece has."""
        return len(self._pages) + len(self._columns["image_url"])

    def add(self, found: ArchivedPage | RecordFault) -> None:
        """Add a page, or count a bad record."""
        if isinstance(found, RecordFault):
            self._bad_records[found.value] += 1
            return
        content = found.content or PageContent()
        self._pages.append(
            {
                "page_url": found.url,
                "final_url": found.final_url,
                "depth": None,
                "state": found.state.value,
                "http_status": found.http_status,
                "num_candidates": len(content.pairs),
            }
        )
        self._counts.update(content.dropped)
        self._counts[FOUND] += len(content.pairs) + content.dropped.total()
        for name, field in _OF_PAIR.items():
            self._columns[name].extend(map(field, content.pairs))
        of_page = (found.final_url, found.archive, found.offset)
        for name, value in zip(_OF_PAGE, of_page, strict=True):
            self._columns[name].extend([value] * len(content.pairs))

    def harvested(self) -> Harvested:
        """Return the piece as every source hands it on."""
        urls, texts = self._columns["image_url"], self._columns["alt_text"]
        given = {**self._columns, "key": list(map(candidate_key, urls, texts))}
        columns = [
            pa.array(given[column.name], column.type)
            if column.name in given
            else pa.nulls(len(urls), column.type)
            for column in CANDIDATE
        ]
        return Harvested(
            candidates=pa.RecordBatch.from_arrays(columns, schema=CANDIDATE),
            counts=self._counts,
            pages=self._pages,
            bad_records=self._bad_records,
            origin=self._origin,
        )
