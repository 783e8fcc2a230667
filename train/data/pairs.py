"""Training pairs, read at random from indexed tars: position -> sample is a pure function.

Step s of a run with a global batch of G pairs holds the positions s * G to (s + 1) * G - 1; rank r
of W has the r-th W-th of them. Positions count on from epoch to epoch, so no pair is left out; the
batch on the border holds the end of one permutation and the start of the next.

Shape suffixes:
    B  pairs on this rank
    R  side of a resized image
    S  side of a cropped image
    C  colors
"""

# ruff: noqa: N806  # capitals are shape suffixes

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer
from torch import Tensor

from openalign.errors import InputError, StageError
from openalign.files.schemas import TRAINING
from openalign.files.shards import ShardReader
from openalign.files.tables import read_table
from openalign.read_ahead import made_ahead
from openalign.train.config import Augmentation
from openalign.train.data.augment import augment
from openalign.train.data.order import RowNumbers, rows_at
from openalign.train.data.preprocess import Pixels, Preprocess, TokenBatch, tokenize

_MIB = 1 << 20
_LARGE = pa.schema(
    [
        field.with_type(pa.large_string()) if pa.types.is_string(field.type) else field
        for field in TRAINING
    ]
)
"""The training manifest with 64-bit offsets: alt-texts or keys of all pairs may pass 2 GiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One rank's share of a global batch."""

    step: int
    rows: RowNumbers
    """Rows of the training manifest, of this rank."""

    pixels: Tensor
    tokens: TokenBatch


def read_training(urls: Sequence[str]) -> pa.Table:
    """Return the training manifest, its texts as large strings.

    Raises:
        StageError: it holds no pair.
    """
    tables = [read_table(url, columns=TRAINING.names) for url in urls]
    table = pa.concat_tables([_LARGE.empty_table(), *(t.cast(_LARGE) for t in tables)])
    if table.num_rows == 0:
        raise StageError(
            "there is nothing to train on: the training manifest holds no pair",
            hint="look at the funnel of `select` for the rule that dropped the most",
        )
    return table


class TrainingSet:
    """The pairs of a training manifest, by position."""

    def __init__(
        self,
        table: pa.Table,
        *,
        shards: ShardReader,
        preprocess: Preprocess,
        tokenizer: Tokenizer,
        augmentation: Augmentation,
        seed: int,
        decode_threads: int,
        image_cache_mb: int,
    ) -> None:
        self._alt_texts = table["alt_text"].combine_chunks()
        self._keys = table["key"].combine_chunks()
        self._images = _DecodedImages(
            table,
            shards,
            preprocess,
            cache_bytes=image_cache_mb * _MIB,
            num_threads=decode_threads,
        )
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._augmentation = augmentation
        self._seed = seed

    def __len__(self) -> int:
        return len(self._keys)

    def rows(self, start: int, stop: int) -> RowNumbers:
        """Return the rows at the positions from `start` to before `stop`."""
        return rows_at(np.arange(start, stop), num_rows=len(self), seed=self._seed)

    def keys(self, rows: RowNumbers) -> list[str]:
        """Return the candidate keys of rows."""
        return self._keys.take(pa.array(rows)).to_pylist()

    def batch(self, step: int, *, start: int, stop: int) -> Batch:
        """Return the pairs at the positions from `start` to before `stop`."""
        rows = self.rows(start, stop)
        images_BRRC = self._images.read(rows)
        pixels = augment(
            images_BRRC,
            np.arange(start, stop),
            crop_px=self._preprocess.crop_px,
            augmentation=self._augmentation,
            seed=self._seed,
        )
        texts = self._alt_texts.take(pa.array(rows)).to_pylist()
        return Batch(
            step=step,
            rows=rows,
            pixels=self._preprocess.normalized(pixels),
            tokens=tokenize(self._tokenizer, texts),
        )

    def batches(
        self, first_step: int, last_step: int, *, global_batch_size: int, rank: int, world_size: int
    ) -> Generator[Batch]:
        """Yield this rank's share of each step before `last_step`, made one step ahead.

        The thread that makes them ends with the generator: close it when leaving early.
        """
        share = global_batch_size // world_size

        def make(step: int) -> Batch:
            start = step * global_batch_size + rank * share
            return self.batch(step, start=start, stop=start + share)

        steps = map(make, range(first_step, last_step))
        with closing(made_ahead(steps, num_ahead=1, name="batches")) as made:
            yield from made


class SampleHash:
    """A running hash of the candidate keys that training has used, in order."""

    def __init__(self, digest: str = "") -> None:
        self.hexdigest = digest

    def update(self, keys: Sequence[str]) -> None:
        """Add the keys of a global batch."""
        text = "\n".join([self.hexdigest, *keys])
        self.hexdigest = hashlib.sha256(text.encode()).hexdigest()


class _DecodedImages:
    """Decoded images by row; pairs that share an image share its place in the cache."""

    def __init__(
        self,
        table: pa.Table,
        reader: ShardReader,
        preprocess: Preprocess,
        *,
        cache_bytes: int,
        num_threads: int,
    ) -> None:
        shards = table["shard"].combine_chunks().dictionary_encode()
        self._names: list[str] = shards.dictionary.to_pylist()
        self._shards: npt.NDArray[np.int64] = shards.indices.to_numpy().astype(np.int64)
        self._offsets: npt.NDArray[np.int64] = table["offset"].to_numpy()
        self._lengths: npt.NDArray[np.int64] = table["length"].to_numpy()
        self._reader = reader
        self._preprocess, resize_px = preprocess, preprocess.resize_px
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")
        self._cache: Pixels | None = None
        self._image_of_row, num_images = _number_images(self._shards, self._offsets)
        if num_images * resize_px * resize_px * 3 <= cache_bytes:
            self._cache = np.empty((num_images, resize_px, resize_px, 3), dtype=np.uint8)
            self._cached = np.zeros(num_images, dtype=bool)

    def read(self, rows: RowNumbers) -> Pixels:
        """Return `[B, R, R, C]`."""
        if self._cache is None:
            return np.stack(list(self._threads.map(self._decode, rows.tolist())))
        images = self._image_of_row[rows]
        missing, first = np.unique(images[~self._cached[images]], return_index=True)
        if len(missing):
            wanted = rows[~self._cached[images]][first]
            for image, pixels in zip(
                missing.tolist(), self._threads.map(self._decode, wanted.tolist()), strict=True
            ):
                self._cache[image] = pixels
            self._cached[missing] = True
        return self._cache[images]

    def _decode(self, row: int) -> Pixels:
        shard = self._names[self._shards[row]]
        offset, length = int(self._offsets[row]), int(self._lengths[row])
        content = self._reader.read(shard, offset, length)
        try:
            return self._preprocess.square(content)
        except InputError as error:
            raise InputError(
                f"{shard}: the bytes from {offset} on are no image: {error}",
                hint="the shard was changed after `select` ran; run `fetch` and `select` again",
            ) from error


def _number_images(
    shards: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], int]:
    places = np.stack([shards, offsets], axis=1)
    found, numbers = np.unique(places, axis=0, return_inverse=True)
    return numbers.reshape(-1), len(found)
