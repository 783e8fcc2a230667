"""The source kind `karpathy`: captions in Karpathy's JSON, as Flickr30K and MSCOCO have them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from openalign.ingest.sources.contract import OwnImages, ReadingSetup, SourceKind
from openalign.ingest.sources.paths import fixed_folder
from openalign.settings.fields import location

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True, slots=True, kw_only=True)
class KarpathySource:
    """Take the images of some splits of a benchmark, each with all its captions (ALIGN §5.1)."""

    kind: Literal["karpathy"] = "karpathy"
    """Which source this is."""

    path: str = location()
    """The JSON file, such as `dataset_flickr30k.json`; a path or URL."""

    images: str = location("")
    """Folder of the images; by default the JSON's own. Any fsspec URL."""

    splits: tuple[str, ...] = ("train",)
    """The splits that are taken. MSCOCO's training images are those of `train` and `restval`."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must name a JSON file, got nothing")
        if not self.splits:
            raise ValueError("splits must name at least one split")

    @property
    def folder(self) -> str:
        """Return the folder that locators and the names of images are relative to."""
        return self.images.rstrip("/") or fixed_folder(self.path, is_file=True)


def own_images(source: KarpathySource) -> OwnImages:
    """Return the folder; fetch stores the images in shards, because files are slow to train on."""
    return OwnImages(folder=source.folder, stay=False)


def check(source: KarpathySource) -> None:
    """Check that the file is Karpathy's JSON, and has the splits.

    Raises:
        InputError: names the file, and what was found instead.
    """
    from openalign.ingest.sources.own_images import karpathy_reading

    karpathy_reading.read(source)


def fingerprint(source: KarpathySource, cache: str) -> str:
    """Return the hash of the file and of the images that are taken; no place makes a difference.

    Raises:
        InputError: as for `check`.
    """
    from openalign.ingest.sources.own_images import karpathy_reading

    return karpathy_reading.fingerprint(source, cache)


def reading(source: KarpathySource, setup: ReadingSetup) -> "beam.PTransform[Any, Any]":
    """Return the read of all captions and images."""
    from openalign.files import storage
    from openalign.ingest.sources.own_images.karpathy_reading import ReadKarpathy

    del setup  # files are read in place; nothing is cached
    path, images = storage.absolute(source.path), storage.absolute(source.folder)
    return ReadKarpathy(replace(source, path=path, images=images))


KIND = SourceKind(
    settings=KarpathySource,
    check=check,
    reading=reading,
    fingerprint=fingerprint,
    own_images=own_images,
)
