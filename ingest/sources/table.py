"""The source kind `table`: image URLs and their captions in Parquet, CSV or TSV files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.contract import ReadingSetup, SourceKind
from openalign.settings.fields import location

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """Read image URLs and their captions from Parquet, CSV or TSV files."""

    kind: Literal["table"] = "table"
    """Which source this is."""

    path: str = location()
    """A file, a folder, or several files by a pattern with stars; any fsspec URL. The ending of a
    file says which format it has."""

    url_column: str = "url"
    """Column with the images' addresses."""

    caption_column: str = "caption"
    """Column with their texts."""

    header: tuple[str, ...] = ()
    """Names of the columns of a CSV or TSV that has no line of names."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must name a file, got nothing")
        if self.url_column == self.caption_column:
            raise ValueError(
                f"caption_column must not be the url_column, got {self.caption_column!r} for both"
            )


def check(source: TableSource) -> None:
    """Check that every file of a table can be read and has both columns.

    Raises:
        InputError: names the file, what is missing and what was found instead.
    """
    from openalign.ingest.sources.table_files import table_files
    from openalign.ingest.sources.table_reading import check_file

    for url in table_files(source.path):
        check_file(url, source)


def fingerprint(source: TableSource) -> str:
    """Return the hash of the files' contents; where they lie makes no difference.

    Raises:
        InputError: no file is there.
    """
    from openalign.files import storage
    from openalign.ingest.sources.table_files import table_files

    return storage.sha256_of_all(table_files(source.path))


def reading(source: TableSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all files."""
    from openalign.ingest.sources.table_files import table_files
    from openalign.ingest.sources.table_reading import ReadPairs

    del setup  # files are read in place; nothing is cached
    return ReadPairs(urls=table_files(source.path), source=source)


KIND = SourceKind(settings=TableSource, check=check, reading=reading, fingerprint=fingerprint)
