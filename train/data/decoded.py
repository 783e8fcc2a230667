"""Images of training pairs, read from their shards and decoded by threads.

Shape suffixes:
    N  images of the index
    R  side of a resized image
    C  colors
"""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openalign.errors import InputError
from openalign.files.hashing import content_hash
from openalign.files.remote_reads import Stretch
from openalign.files.shards import ShardReader
from openalign.train.data.index import ImagePlace, TrainingIndex
from openalign.train.data.order import RowNumbers
from openalign.train.data.preprocess import Pixels, Preprocess
from openalign.train.data.timed_reads import TimedReads
from openalign.train.data.worker_threads import WorkerThreads

Put = Callable[[int, Pixels], None]
"""Takes the decoded image `[R, R, C]` of the pair at a place of the batch."""

_MOST_IN_A_TASK = 16
_TASKS_A_THREAD = 4
"""So many tasks even out images that take longer; a task costs some 50 us."""


class _Wanted(NamedTuple):
    """An image that a batch needs."""

    number: int
    """In the index."""

    place: ImagePlace | None
    """None where it is in memory."""

    pairs: list[int]
    """Places in the batch of the pairs that have it."""


class DecodedImages:
    """Decoded images by row.

    They are kept if all images of the index fit into `cache_bytes`. Close them: threads end then.
    """

    def __init__(
        self,
        index: TrainingIndex,
        reader: ShardReader,
        preprocess: Preprocess,
        *,
        cache_bytes: int,
        num_threads: int,
        read_timeout_seconds: float | None,
    ) -> None:
        self._index = index
        self._reader = reader
        self._reads = TimedReads(reader, timeout_seconds=read_timeout_seconds)
        self._preprocess, side_px = preprocess, preprocess.resize_px
        self._num_threads = num_threads
        self._threads = WorkerThreads(num_threads, name="decode")
        self._cache_NRRC: Pixels | None = None
        if index.num_images * side_px * side_px * 3 <= cache_bytes:
            self._cache_NRRC = np.empty((index.num_images, side_px, side_px, 3), dtype=np.uint8)
            self._is_cached_N = np.zeros(index.num_images, dtype=bool)

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    @property
    def are_remote(self) -> bool:
        """Whether some images lie in a store."""
        return self._reader.is_remote

    def ask(self, rows: RowNumbers) -> list[Stretch]:
        """Begin to read the images of rows that will be wanted soon; return where they lie."""
        images, first = np.unique(self._index.images(rows), return_index=True)
        if self._cache_NRRC is not None:
            first = first[~self._is_cached_N[images]]
        return self._ask(self._index.places(rows[first]))

    def drop(self, asked: Sequence[Stretch]) -> None:
        """Let go of what `ask` returned and `read` has not used."""
        self._reader.drop(asked)

    def _ask(self, places: Sequence[ImagePlace]) -> list[Stretch]:
        asked = [Stretch(place.shard, place.offset, place.length) for place in places]
        self._reader.ask(asked)
        return asked

    def read(
        self, rows: RowNumbers, pairs: npt.NDArray[np.int64], put: Put
    ) -> Mapping[int, InputError]:
        """Hand the image of each row to `put`, with the place of its pair in the batch.

        The same image is decoded once. Threads call `put`, each for other pairs.

        Returns:
            why an image cannot be decoded, by the place of its pair.

        Raises:
            InputError: a shard is not there.
            StageError: a read takes too long.
        """
        wanted = self._wanted(rows, pairs)
        num_tasks = min(len(wanted), self._num_threads * _TASKS_A_THREAD)
        size = min(_MOST_IN_A_TASK, -(-len(wanted) // max(1, num_tasks)))
        tasks = [wanted[start : start + size] for start in range(0, len(wanted), max(1, size))]
        found = self._threads.map(
            partial(self._hand_out, put), tasks, while_waiting=self._reads.check
        )
        return {place: error for failures in found for place, error in failures.items()}

    def _wanted(self, rows: RowNumbers, pairs: npt.NDArray[np.int64]) -> list[_Wanted]:
        images, first, which = np.unique(
            self._index.images(rows), return_index=True, return_inverse=True
        )
        missing = np.arange(len(images))
        if self._cache_NRRC is not None:
            missing = np.flatnonzero(~self._is_cached_N[images])
        missing_places = self._index.places(rows[first[missing]])
        if self.are_remote:
            self._ask(missing_places)
        places = dict(zip(missing.tolist(), missing_places, strict=True))
        by_image = np.split(pairs[np.argsort(which, kind="stable")], np.cumsum(np.bincount(which)))
        return [
            _Wanted(number, places.get(n), by_image[n].tolist())
            for n, number in enumerate(images.tolist())
        ]

    def _hand_out(self, put: Put, task: Sequence[_Wanted]) -> Mapping[int, InputError]:
        failures: dict[int, InputError] = {}
        for image in task:
            try:
                pixels_RRC = self._pixels(image)
            except _UnusableError as error:
                failures |= dict.fromkeys(image.pairs, error)
                continue
            for place in image.pairs:
                put(place, pixels_RRC)
        return failures

    def _pixels(self, image: _Wanted) -> Pixels:
        if image.place is None:
            assert self._cache_NRRC is not None
            return self._cache_NRRC[image.number]
        content = self._reads.read(image.place)
        if _is_other(content, image.place):  # a copy on this machine may be damaged
            content = self._reads.read(image.place, anew=True)
        if _is_other(content, image.place):
            raise _unusable(image.place, "not those that `fetch` wrote")
        try:
            pixels_RRC = self._preprocess.square(content)
        except InputError as error:
            raise _unusable(image.place, f"no image: {error}") from error
        if self._cache_NRRC is not None:
            self._cache_NRRC[image.number] = pixels_RRC
            self._is_cached_N[image.number] = True
        return pixels_RRC


def _is_other(content: bytes, place: ImagePlace) -> bool:
    """Tell whether these are other bytes than those that `fetch` wrote, where that is known."""
    return bool(place.xxh3) and content_hash(content) != place.xxh3


class _UnusableError(InputError):
    """An image cannot be decoded. A shard that is not there is no such error."""


def _unusable(place: ImagePlace, why: str) -> _UnusableError:
    return _UnusableError(
        f"{place.shard}: the bytes from {place.offset} on are {why}",
        hint="the shard was changed after `select` ran; once it is as it was, the same command "
        "goes on. `fetch` and `select` anew, or train.bad_images=replace, begin another model",
    )
