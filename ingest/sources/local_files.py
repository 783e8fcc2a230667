"""The source kind `local_files`: images in a folder with texts beside them, or in a table."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.contract import OwnImages, ReadingSetup, SourceKind
from openalign.ingest.sources.own_settings import OwnImageSettings
from openalign.ingest.sources.paths import fixed_folder
from openalign.settings.fields import location

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFilesSource(OwnImageSettings):
    """Take images that are files, in a folder or named by a table; no host is asked."""

    kind: Literal["local_files"] = "local_files"
    """Which source this is."""

    path: str = location("")
    """Folder of the images, with `NAME.txt` or `NAME.json` beside each; any fsspec URL. With a
    table, the folder that its paths are relative to, by default the table's own."""

    table: str = location("")
    """A table that names the images, instead of texts beside them: a file, a folder, or a pattern,
    in any format that the source `table` reads."""

    path_column: str = "path"
    """Column of the table with the images' paths."""

    def __post_init__(self) -> None:
        OwnImageSettings.__post_init__(self)
        if not (self.path or self.table):
            raise ValueError("path must name a folder of images, or table a table of their paths")
        if self.path_column == self.caption_column:
            raise ValueError(
                f"caption_column must not be the path_column, got {self.path_column!r} for both"
            )

    @property
    def folder(self) -> str:
        """Return the folder that locators and the paths of a table are relative to."""
        from openalign.ingest.sources.url_tables.found import format_of

        if self.path:
            return fixed_folder(self.path, is_file=False)
        return fixed_folder(self.table, is_file=format_of(self.table) is not None)


def own_images(source: LocalFilesSource) -> OwnImages:
    """Return the folder; fetch stores the images in shards, because files are slow to train on."""
    return OwnImages(folder=source.folder, stay=False)


def check(source: LocalFilesSource) -> None:
    """Check that the folder holds images, or that the table can be read and has its columns.

    Raises:
        InputError: names the folder or file, and what was found instead.
    """
    from openalign.ingest.sources.own_images import local_files_reading

    local_files_reading.check(source)


def fingerprint(source: LocalFilesSource, cache: str) -> str:
    """Return the hash of the names and contents of all files; where they lie makes no difference.

    Raises:
        InputError: no file is there, or one cannot be read.
    """
    from openalign.ingest.sources.own_images import local_files_reading

    return local_files_reading.fingerprint(source, cache)


def reading(source: LocalFilesSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all files."""
    from openalign.files import storage
    from openalign.ingest.sources.own_images.local_files_reading import ReadFiles

    del setup  # files are read in place; nothing is cached
    path, table = (url and storage.absolute(url) for url in (source.path, source.table))
    return ReadFiles(replace(source, path=path, table=table))


KIND = SourceKind(
    settings=LocalFilesSource,
    check=check,
    reading=reading,
    fingerprint=fingerprint,
    own_images=own_images,
)
