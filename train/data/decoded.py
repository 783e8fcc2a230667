"""Images of training pairs, read from their shards and decoded by threads.

Shape suffixes:
    B  pairs asked for
    R  side of a resized image
    C  colors
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from openalign.errors import InputError
from openalign.files.hashing import content_hash
from openalign.files.remote_reads import Stretch
from openalign.files.shards import ShardReader
from openalign.train.data.index import ImagePlace, TrainingIndex
from openalign.train.data.order import RowNumbers
from openalign.train.data.preprocess import Pixels, Preprocess


@dataclass(frozen=True, slots=True)
class ReadImages:
    """What came of reading images."""

    pixels: Pixels
    """`[B, R, R, C]`; arbitrary where an image cannot be decoded."""

    failures: Mapping[int, InputError]
    """Why an image cannot be decoded, by its place among those that were asked for."""


class DecodedImages:
    """Decoded images by row.

    They are kept if all images of the index fit into `cache_bytes`.
    """

    def __init__(
        self,
        index: TrainingIndex,
        reader: ShardReader,
        preprocess: Preprocess,
        *,
        cache_bytes: int,
        num_threads: int,
    ) -> None:
        self._index = index
        self._reader = reader
        self._preprocess, resize_px = preprocess, preprocess.resize_px
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")
        self._cache: Pixels | None = None
        if index.num_images * resize_px * resize_px * 3 <= cache_bytes:
            self._cache = self._room_for(index.num_images)
            self._cached = np.zeros(index.num_images, dtype=bool)

    def read(self, rows: RowNumbers) -> ReadImages:
        """Return the images of rows; the same image is decoded once."""
        images, first, places = np.unique(
            self._index.images(rows), return_index=True, return_inverse=True
        )
        pixels = self._room_for(len(images)) if self._cache is None else self._cache
        slots = np.arange(len(images)) if self._cache is None else images
        missing = (
            np.arange(len(images)) if self._cache is None else np.flatnonzero(~self._cached[images])
        )
        if self.are_remote:
            self._ask(rows[first[missing]])
        found = self._threads.map(
            partial(self._decode, pixels),
            slots[missing].tolist(),
            self._index.places(rows[first[missing]]),
        )
        errors = {int(n): error for n, error in zip(missing, found, strict=True) if error}
        if self._cache is not None:
            self._cached[images[[n for n in missing.tolist() if n not in errors]]] = True
        failures = {at: errors[n] for at, n in enumerate(places.tolist()) if n in errors}
        return ReadImages(pixels[slots[places]], failures)

    @property
    def are_remote(self) -> bool:
        """Whether some images lie in a store."""
        return self._reader.is_remote

    def ask(self, rows: RowNumbers) -> None:
        """Begin to read the images of rows that will be wanted soon."""
        if self._cache is not None:
            rows = rows[~self._cached[self._index.images(rows)]]
        self._ask(rows)

    def _ask(self, rows: RowNumbers) -> None:
        places = self._index.places(rows)
        self._reader.ask(Stretch(place.shard, place.offset, place.length) for place in places)

    def _room_for(self, num_images: int) -> Pixels:
        side_px = self._preprocess.resize_px
        return np.empty((num_images, side_px, side_px, 3), dtype=np.uint8)

    def _decode(self, pixels: Pixels, slot: int, place: ImagePlace) -> InputError | None:
        """Fill a slot; return what prevents it. A shard that is not there is no such error."""
        content = self._reader.read(place.shard, place.offset, place.length)
        if place.xxh3 and content_hash(content) != place.xxh3:
            content = self._reader.read_anew(place.shard, place.offset, place.length)
        if place.xxh3 and content_hash(content) != place.xxh3:
            return _unusable(place, "not those that `fetch` wrote")
        try:
            pixels[slot] = self._preprocess.square(content)
        except InputError as error:
            return _unusable(place, f"no image: {error}")
        return None


def _unusable(place: ImagePlace, why: str) -> InputError:
    return InputError(
        f"{place.shard}: the bytes from {place.offset} on are {why}",
        hint="the shard was changed after `select` ran; run `fetch` and `select` again, or set "
        "train.bad_images=replace",
    )
