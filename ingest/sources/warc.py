"""The source kind `warc`: pages of web archives, as Common Crawl, wget or a browser keeps them."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.archive import ArchiveSource, archive_kind, found
from openalign.ingest.sources.contract import ReadingSetup
from openalign.settings.limits import positive

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class WarcSource(ArchiveSource):
    """Read the pages of WARC files: one of `path` and `paths` names them."""

    kind: Literal["warc"] = "warc"
    """Which source this is."""

    max_page_bytes: int = 10_000_000
    """Largest page; of a larger one the beginning is read."""

    def __post_init__(self) -> None:
        ArchiveSource.__post_init__(self)
        positive(max_page_bytes=self.max_page_bytes)


def reading(source: WarcSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all archives."""
    from openalign.ingest.sources.archives.archive_reading import ReadArchives
    from openalign.ingest.sources.archives.warc_reading import read_pages

    read = partial(
        read_pages, texts=setup.texts, web=setup.web, max_page_bytes=source.max_page_bytes
    )
    return ReadArchives(
        archives=found(source, setup.web),
        read=read,
        manners=source.manners(setup.web),
        num_http_readers=source.http_readers,
    )


KIND = archive_kind(WarcSource, reading)
