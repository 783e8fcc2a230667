"""Some of the images that training pairs were made of, with their alt-texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.shards import ShardReader
from openalign.images.headers import ImageError
from openalign.images.thumbnails import encode_thumbnail, webp_url

_NUM_IMAGES = 24
_COLUMNS = ["shard", "offset", "length", "alt_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Where the training pairs of a run lie, and their images."""

    pairs: Sequence[str]
    """URLs of the files of the training manifest."""

    shards: str
    """The folder of the shards."""

    places: Mapping[str, str]
    """Where files lie that shards name and do not hold (`shards.ShardReader`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedImage:
    """An image as the page shows it."""

    src: str
    alt_text: str


def images_of(selected: Selected) -> list[SelectedImage]:
    """Return images of the first pairs of the first files.

    Hashes decide which pair stands where, so this is a sample that no order decides. An image that
    cannot be read any more is passed over.
    """
    reader = ShardReader(selected.shards, places=selected.places)
    found: list[SelectedImage] = []
    try:
        for row in _each_image_once(selected.pairs):
            try:
                content = reader.read(row["shard"], row["offset"], row["length"])
                src = webp_url(encode_thumbnail(content))
            except (InputError, ImageError, StageError):
                continue
            found.append(SelectedImage(src=src, alt_text=row["alt_text"]))
            if len(found) == _NUM_IMAGES:
                break
    finally:
        reader.close()
    return found


def _each_image_once(urls: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the first row of each image among the first rows of each file."""
    for url in urls:
        with storage.open_read(url) as source:
            batches = pq.ParquetFile(source).iter_batches(4 * _NUM_IMAGES, columns=_COLUMNS)
            rows = next((batch.to_pylist() for batch in batches), [])
        first: dict[tuple[str, int], dict[str, Any]] = {}
        for row in rows:
            first.setdefault((row["shard"], row["offset"]), row)
        yield from first.values()
