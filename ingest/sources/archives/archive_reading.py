"""Read archives in a Beam job: one archive at a time, its pages piece by piece."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
from apache_beam.pvalue import PCollection

from openalign.files.hashing import candidate_keys
from openalign.files.states import PageState, RecordFault
from openalign.ingest.candidates import FOUND, Harvested, as_candidates, damaged_file
from openalign.ingest.sources.archives.content import opened
from openalign.ingest.sources.archives.found import Archive
from openalign.ingest.sources.archives.http_stream import HttpManners, HttpReader
from openalign.ingest.sources.archives.src_images import SrcImages, add_together
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

_OF_PAGE = {
    "page_url": attrgetter("final_url"),
    "archive": attrgetter("archive"),
    "archive_offset": attrgetter("offset"),
}
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

    images: SrcImages | None = None
    """Images that are still to be judged, beside those of many other pages; their pairs go before
    those of the content."""


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
        self._pages: list[ArchivedPage] = []
        self._bad_records: Counter[str] = Counter()
        self.num_rows = 0
        """Pages and what may become candidates."""

    def add(self, found: ArchivedPage | RecordFault) -> None:
        """Add a page, or count a bad record."""
        if isinstance(found, RecordFault):
            self._bad_records[found.value] += 1
            return
        self._pages.append(found)
        self.num_rows += 1
        self.num_rows += len(found.content.pairs) if found.content else 0
        self.num_rows += len(found.images.raws) if found.images else 0

    def harvested(self) -> Harvested:
        """Return the piece as every source hands it on."""
        contents = [page.content or PageContent() for page in self._pages]
        pairs = self._pairs(contents)
        counts = Counter[str]()
        for content in contents:
            counts.update(content.dropped)
        counts[FOUND] = pairs.height + counts.total()
        num_pairs = np.bincount(pairs["page"].to_numpy(), minlength=len(contents)).tolist()
        return Harvested(
            candidates=self._candidates(pairs),
            counts=counts,
            pages=list(map(_page_row, self._pages, num_pairs)),
            bad_records=self._bad_records,
            origin=self._origin,
        )

    def _pairs(self, contents: Sequence[PageContent]) -> pl.DataFrame:
        """Return the pairs of all pages, with the number of each one's page; judge images first."""
        to_judge = [(number, page.images) for number, page in enumerate(self._pages) if page.images]
        numbers = pl.Series([number for number, _ in to_judge], dtype=pl.Int64)
        judged = add_together([images for _, images in to_judge])
        pairs = [pair for content in contents for pair in content.pairs]
        of_contents = np.repeat(
            np.arange(len(contents)), [len(content.pairs) for content in contents]
        )
        others = pl.DataFrame(
            {"page": of_contents, **{name: list(map(f, pairs)) for name, f in _OF_PAIR.items()}},
            schema={"page": pl.Int64, **dict.fromkeys(_OF_PAIR, pl.String)},
        )
        of_judged = judged.with_columns(page=numbers.gather(judged["page"]))
        return pl.concat([of_judged.select(others.columns), others])

    def _candidates(self, pairs: pl.DataFrame) -> pa.RecordBatch:
        of_page = pl.DataFrame(
            {name: list(map(field, self._pages)) for name, field in _OF_PAGE.items()},
            schema={name: pl.Int64 if name == "archive_offset" else pl.String for name in _OF_PAGE},
        )
        rows = pairs.with_columns(
            of_page[pairs["page"]], key=candidate_keys(pairs["image_url"], pairs["alt_text"])
        )
        return as_candidates(rows)


def _page_row(page: ArchivedPage, num_candidates: int) -> dict[str, Any]:
    """Return a row of `schemas.PAGE`."""
    return {
        "page_url": page.url,
        "final_url": page.final_url,
        "depth": None,
        "state": page.state.value,
        "http_status": page.http_status,
        "num_candidates": num_candidates,
    }
