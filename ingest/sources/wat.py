"""The source kind `wat`: what Common Crawl has extracted from the pages of its archives."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.archive import ArchiveSource, archive_kind, found
from openalign.ingest.sources.contract import ReadingSetup

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class WatSource(ArchiveSource):
    """Read the images of WAT files: one of `path` and `paths` names them."""

    kind: Literal["wat"] = "wat"
    """Which source this is."""


def reading(source: WatSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all archives."""
    from openalign.ingest.sources.archives.archive_reading import ReadArchives
    from openalign.ingest.sources.archives.wat_reading import read_pages

    return ReadArchives(
        archives=found(source, setup.web),
        read=partial(read_pages, texts=setup.texts, web=setup.web),
        manners=source.manners(setup.web),
        num_http_readers=source.http_readers,
    )


KIND = archive_kind(WatSource, reading)
