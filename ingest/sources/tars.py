"""The source kind `tars`: tars of images and texts, as img2dataset and webdataset have them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.contract import OwnImages, ReadingSetup, SourceKind
from openalign.ingest.sources.own_settings import OwnImageSettings
from openalign.ingest.sources.paths import common_folder, each_of, fixed_folder
from openalign.settings.fields import location

if TYPE_CHECKING:
    import apache_beam as beam

TAR = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
"""Endings of tars that are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarsSource(OwnImageSettings):
    """Take images and texts from tars, and leave them there: nothing is downloaded or copied."""

    kind: Literal["tars"] = "tars"
    """Which source this is."""

    path: str | tuple[str, ...] = location()
    """A tar, a folder of tars, or several by a pattern with stars or braces, such as
    `cc3m/{00000..00331}.tar`; any fsspec URL. A list names several, each under one folder."""

    def __post_init__(self) -> None:
        OwnImageSettings.__post_init__(self)
        if not self.path:
            raise ValueError("path must name tars, got nothing")
        _ = self.folder

    @property
    def folder(self) -> str:
        """Return the folder that the names of tars are relative to."""
        return common_folder(
            tuple(
                fixed_folder(path, is_file=path.lower().endswith((TAR, *COMPRESSED)))
                for path in each_of(self.path)
            )
        )


def own_images(source: TarsSource) -> OwnImages:
    """Return the folder of the tars; training reads the images in them."""
    return OwnImages(folder=source.folder, stay=True)


def check(source: TarsSource) -> None:
    """Check that the tars are there, and that one of them can be read.

    Raises:
        InputError: names the path or the first tar, and what was found instead.
    """
    from openalign.ingest.sources.own_images import tars_reading

    tars_reading.check(source)


def fingerprint(source: TarsSource, cache: str) -> str:
    """Return the hash of the names and contents of all tars; where they lie makes no difference.

    Raises:
        InputError: no tar is there, or one cannot be read.
    """
    from openalign.ingest.sources.own_images import tars_reading

    return tars_reading.fingerprint(source, cache)


def reading(source: TarsSource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all tars."""
    from openalign.files import storage
    from openalign.ingest.sources.own_images.tars_reading import ReadTars

    del setup  # tars are read in place; nothing is cached
    paths = tuple(map(storage.absolute, each_of(source.path)))
    return ReadTars(replace(source, path=paths))


KIND = SourceKind(
    settings=TarsSource,
    check=check,
    reading=reading,
    fingerprint=fingerprint,
    own_images=own_images,
)
