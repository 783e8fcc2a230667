"""What the kinds `warc` and `wat` have in common: their settings, check and fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from openalign.ingest.sources.contract import ReadingSetup, SourceKind
from openalign.ingest.web.config import WebConfig
from openalign.settings.fields import location, runtime
from openalign.settings.limits import not_negative, positive

if TYPE_CHECKING:
    import apache_beam as beam

    from openalign.ingest.sources.archives.found import Archive
    from openalign.ingest.sources.archives.http_stream import HttpManners

COMMON_CRAWL = "https://data.commoncrawl.org/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """Archives of the web: one of `path` and `paths` names them."""

    kind: str
    """Which source this is."""

    path: str | tuple[str, ...] = location("")
    """An archive, a folder, several archives by a pattern with stars, or a list of these; any
    fsspec URL, or an archive on a web server."""

    paths: str = location("")
    """A list of archives, a path a line, such as Common Crawl's `warc.paths.gz`; any fsspec URL, or
    on a web server."""

    prefix: str = location(COMMON_CRAWL)
    """What stands before each path of the list, such as `s3://commoncrawl/`."""

    skip: int = location(0)
    """Archives at the beginning of the list that are left out."""

    first: int | None = location(None)
    """Archives of the list that are read, behind those left out; null: all."""

    http_readers: int = runtime(4)
    """Archives that the whole job reads from web servers at one time."""

    http_requests_per_second: float = runtime(2.0)
    """Requests to web servers in a second, of all readers together. An archive takes one, and one
    more each time its connection breaks."""

    http_retries: int = runtime(8)
    """Further attempts at an archive on a web server without a byte in between."""

    def __post_init__(self) -> None:
        if not self.path and not self.paths:
            raise ValueError("path or paths must name archives, got neither")
        if self.path and self.paths:
            raise ValueError("path and paths exclude each other, got both")
        if self.path and (self.skip or self.first is not None):
            raise ValueError("skip and first choose from the list that paths names, got a path")
        not_negative(skip=self.skip, http_retries=self.http_retries)
        positive(
            first=self.first,
            http_readers=self.http_readers,
            http_requests_per_second=self.http_requests_per_second,
        )

    def manners(self, web: WebConfig) -> "HttpManners":
        """Return how one of the job's readers asks web servers."""
        from openalign.ingest.sources.archives.http_stream import HttpManners

        return HttpManners(
            contact=web.contact,
            requests_per_second=self.http_requests_per_second / self.http_readers,
            num_retries=self.http_retries,
            retry_seconds=web.retry_seconds,
            max_retry_seconds=web.max_retry_seconds,
            silence_seconds=web.first_byte_seconds,
            proxy=web.proxy,
            ca_file=web.ca_file,
        )


A = TypeVar("A", bound=ArchiveSource)


def found(source: ArchiveSource, web: WebConfig) -> "list[Archive]":
    """Return the archives that a source names, at least one; `web` says how servers are asked.

    Raises:
        InputError: nothing is there, or the list cannot be read.
    """
    from openalign.ingest.sources.archives.found import archives_of
    from openalign.ingest.sources.archives.http_stream import HttpReader

    return archives_of(source, HttpReader(source.manners(web)))


def check(source: ArchiveSource, web: WebConfig) -> None:
    """Check that archives can be read and hold what their kind says; of a list, the first.

    A damaged archive among whole ones passes: the run names it at its end.

    Raises:
        InputError: names the archive, and what was found instead.
    """
    from openalign.ingest.sources.archives.checking import require_archives
    from openalign.ingest.sources.archives.http_stream import HttpReader

    archives = found(source, web)
    reader = HttpReader(source.manners(web))
    first = archives[:1] if source.paths else archives
    require_archives(first, source.kind, reader, are_listed=bool(source.paths))


def fingerprint(source: ArchiveSource, cache: str, web: WebConfig) -> str:
    """Return the hash of the archives' names and contents.

    What a list or a web server names is known by its name alone: such archives are published once
    and stay, and to hash them would be to read them all.

    Raises:
        InputError: nothing is there, or the list cannot be read.
    """
    from openalign.files.fingerprints import fingerprint_of
    from openalign.files.hash_cache import hashes_of

    archives = found(source, web)
    is_hashed = not source.paths and not archives[0].is_on_web
    hashes = hashes_of([url for _, url in archives], cache=cache) if is_hashed else {}
    return fingerprint_of([[name, hashes.get(url)] for name, url in archives])


def archive_kind(
    settings: type[A],
    reading: "Callable[[A, ReadingSetup], beam.PTransform[Any, Any]]",
    web: WebConfig | None = None,
) -> SourceKind[A]:
    """Return a kind of archives; its check and fingerprint ask web servers as `web` says."""
    asked = web or WebConfig()
    return SourceKind(
        settings=settings,
        check=partial(check, web=asked),
        reading=reading,
        fingerprint=partial(fingerprint, web=asked),
        with_web=partial(archive_kind, settings, reading),
        judges_pages=True,
    )
