"""A toy source: a text file with an image's URL and its text on each line."""

# [source]
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from openalign.errors import InputError
from openalign.ingest.sources.contract import ReadingSetup, SourceKind
from openalign.settings.fields import location

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesSource:
    """Read a text file: on each line an image's URL, a space and its text."""

    kind: Literal["lines"] = "lines"
    """Which source this is."""

    path: str = location()
    """The file; any fsspec URL."""


def check(source: LinesSource) -> None:
    """See that the file is there, before anything starts."""
    from openalign.files import storage

    if not storage.exists(source.path):
        raise InputError(f"{source.path} is not there", hint="check `harvest.source.path`")


def fingerprint(source: LinesSource, cache: str) -> str:
    """Return the hash of the content: another content is another harvest."""
    from openalign.files.hash_cache import hashes_of

    check(source)
    return hashes_of([source.path], cache=cache)[source.path]


def reading(source: LinesSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read."""
    from toy_source_reading import ReadLines

    del setup  # a file asks no host, and needs no folder to go on from
    return ReadLines(source.path)


KIND = SourceKind(settings=LinesSource, check=check, fingerprint=fingerprint, reading=reading)
# [/source]
