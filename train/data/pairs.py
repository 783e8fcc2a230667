"""Training pairs, read at random from indexed tars: position -> sample is a pure function.

Step s of a run with a global batch of G pairs holds the positions s * G to (s + 1) * G - 1, and a
rank has a run of them; batches that are passed over are left out. Positions count on from epoch to
epoch, so no pair is left out; the batch on the border holds the end of one permutation and the
start of the next.

Where images that cannot be decoded are replaced, the pair at such a position gives way to the one
at the same place of the next global batch, or of a later one. Every rank and rerun takes the same.

A pair may stand in a batch twice where an epoch ends within the batch, or between it and that of a
pair which replaces one. `may_repeat` tells of both.

Shape suffixes:
    B  pairs on this rank
    H  rows, W  columns of what is kept of an image
    C  colors
"""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from openalign.errors import ConfigError, InputError
from openalign.files.remote_reads import Stretch
from openalign.files.shards import ShardReader
from openalign.read_ahead import made_ahead
from openalign.train.config import Augmentation
from openalign.train.data.augment import draw_cuts
from openalign.train.data.decoded import DecodedImages, Put
from openalign.train.data.index import ImagePlace, TrainingIndex
from openalign.train.data.order import Order, Positions, RowNumbers, Shuffled
from openalign.train.data.passed_over import BatchRange, batch_at, batches_behind
from openalign.train.data.pixel_batch import PixelBatch, PixelRows
from openalign.train.data.preprocess import (
    Preprocess,
    TokenBatch,
    tokenize,
    unknown_id,
)

_MIB = 1 << 20

_MOST_REPLACED_IN_A_ROW = 100
"""So many pairs are tried for a position: a corpus of which more is bad in a row is not trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A pair that gave way to another, because its image cannot be decoded."""

    position: int
    key: str
    place: ImagePlace
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One rank's share of a global batch."""

    step: int
    rows: RowNumbers
    """Rows of the training manifest, of this rank."""

    image_ids: Tensor
    """`[B]`, int64: the number of each row's image; pairs of one image have the same."""

    pixels: PixelRows
    tokens: TokenBatch
    num_pieces: int
    """Word pieces of all texts, without the marks of their ends."""

    num_unknown: int
    """How many of them stand for a word that no pieces make up."""

    replaced: tuple[Replaced, ...] = ()


def check_batch_size(global_batch_size: int, *, num_pairs: int) -> None:
    """Refuse a batch in which pairs would always stand more than once.

    Raises:
        ConfigError: it names both numbers.
    """
    if global_batch_size > num_pairs:
        raise ConfigError(
            f"`train.global_batch_size` is {global_batch_size:,}, and there are {num_pairs:,} "
            "pairs to train on: a pair would stand in every batch more than once",
            hint="lower it, hold out fewer (`train.validation`), or look at the funnel of `select` "
            "for the rule that dropped the most",
        )


class TrainingSet:
    """The pairs of a training index, by position."""

    def __init__(
        self,
        index: TrainingIndex,
        *,
        order: Order | None = None,
        shards: ShardReader,
        preprocess: Preprocess,
        tokenizer: Tokenizer,
        augmentation: Augmentation,
        seed: int,
        decode_threads: int,
        image_cache_mb: int,
        replace_after: int = 0,
        passed_over: Sequence[BatchRange] = (),
        read_timeout_seconds: float | None = None,
        pinned: bool = False,
    ) -> None:
        """Open the pairs, without the global batches that are passed over; close them.

        Without an order they are shuffled by the seed.

        The pair that replaces one whose image cannot be decoded lies `replace_after` positions
        on: the size of a global batch. 0 replaces none, and such an image is an error. Batches lie
        in pinned memory, from which CUDA copies on the side, if `pinned`.
        """
        self._index = index
        self._order = Shuffled(len(index), seed=seed) if order is None else order
        self._images = DecodedImages(
            index,
            shards,
            preprocess,
            cache_bytes=image_cache_mb * _MIB,
            num_threads=decode_threads,
            read_timeout_seconds=read_timeout_seconds,
        )
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._unknown_id = unknown_id(tokenizer)
        self._num_ends = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._augmentation = augmentation
        self._seed = seed
        self._replace_after = replace_after
        self._passed_over = passed_over
        self._pinned = pinned
        scaling = preprocess.color_scaling()
        self._color_scaling = None if scaling is None else self._for_device(scaling)

    def close(self) -> None:
        """End the threads that decode."""
        self._images.close()

    def __len__(self) -> int:
        return len(self._order)

    def first_position(self, step: int, *, global_batch_size: int) -> int:
        """Return the position of the first pair of a step."""
        return batch_at(step, self._passed_over) * global_batch_size

    def may_repeat(self, step: int, *, global_batch_size: int) -> bool:
        """Tell whether a pair may stand in the global batch of a step twice; all ranks agree.

        No pair stands twice in an epoch. So it may where an epoch ends between the first position
        of the batch and the last from which a pair could come.
        """
        first = self.first_position(step, global_batch_size=global_batch_size)
        last = first + global_batch_size - 1
        if self._replace_after:
            last = int(self._behind(np.array([last]), _MOST_REPLACED_IN_A_ROW)[0])
        return first // len(self) != last // len(self)

    def rows(self, start: int, stop: int) -> RowNumbers:
        """Return the rows at the positions from `start` to before `stop`."""
        return self._order.rows(np.arange(start, stop))

    def keys(self, rows: RowNumbers) -> list[str]:
        """Return the candidate keys of rows."""
        return self._index.keys(rows)

    def batch(self, step: int, *, start: int, stop: int) -> Batch:
        """Return the pairs at the positions from `start` to before `stop`.

        Raises:
            InputError: an image cannot be decoded, and is not to be replaced, or those that would
                replace it cannot be decoded either.
        """
        positions = np.arange(start, stop)
        preprocess = self._preprocess
        cuts = draw_cuts(
            positions,
            resize_px=preprocess.resize_px,
            crop_px=preprocess.crop_px,
            augmentation=self._augmentation,
            seed=self._seed,
        )
        side_px = preprocess.crop_px if cuts.warps is None else preprocess.resize_px
        shape = (len(positions), side_px, side_px, 3)
        images_BHWC = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pinned)
        rows, replaced = self._decodable(positions, partial(cuts.put, images_BHWC))
        tokens = tokenize(self._tokenizer, self._index.alt_texts(rows))
        return Batch(
            step=step,
            rows=rows,
            image_ids=self._for_device(torch.from_numpy(self._index.images(rows))),
            pixels=PixelBatch(
                images=images_BHWC,
                crop_px=preprocess.crop_px,
                warps=None if cuts.warps is None else self._for_device(cuts.warps),
                color_scaling=self._color_scaling,
            ),
            tokens=TokenBatch(*map(self._for_device, tokens)),
            num_pieces=int(tokens.mask.sum()) - self._num_ends * len(rows),
            num_unknown=0
            if self._unknown_id is None
            else int((tokens.ids == self._unknown_id).sum()),
            replaced=replaced,
        )

    def batches(
        self,
        first_step: int,
        last_step: int,
        *,
        global_batch_size: int,
        start: int,
        num_pairs: int,
    ) -> Generator[Batch]:
        """Yield the pairs from `start` on of each step before `last_step`, made one step ahead.

        The thread that makes them ends with the generator, and so does what was asked of a store:
        close it when leaving early.
        """

        def positions(step: int) -> tuple[int, int]:
            first = self.first_position(step, global_batch_size=global_batch_size) + start
            return first, first + num_pairs

        def ask(step: int) -> list[Stretch]:
            if step >= last_step or not self._images.are_remote:
                return []
            return self._images.ask(self.rows(*positions(step)))

        def in_turn() -> Generator[Batch]:
            asked = ask(first_step)
            try:
                for step in range(first_step, last_step):
                    later = ask(step + 1)  # it is read while this one is decoded
                    asked += later
                    first, stop = positions(step)
                    batch = self.batch(step, start=first, stop=stop)
                    asked = later
                    yield batch
            finally:
                self._images.drop(asked)

        with (
            closing(in_turn()) as steps,
            closing(made_ahead(steps, num_ahead=1, name="batches")) as made,
        ):
            yield from made

    def _for_device(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self._pinned else tensor

    def _decodable(self, positions: Positions, put: Put) -> tuple[RowNumbers, tuple[Replaced, ...]]:
        """Put the images at positions; return the rows that stand there, and what they replace."""
        rows = self._order.rows(positions)
        failures = self._images.read(rows, np.arange(len(rows)), put)
        replaced: list[Replaced] = []
        attempt = 0
        while failures:
            attempt += 1
            at = np.array(sorted(failures))
            errors = [failures[place] for place in at.tolist()]
            if not self._replace_after:
                raise errors[0]
            if attempt > _MOST_REPLACED_IN_A_ROW:
                raise InputError(
                    f"the images of {attempt} pairs in a row cannot be decoded; {errors[0]}",
                    hint=errors[0].hint,
                )
            replaced += self._replaced(positions[at], rows[at], errors)
            rows[at] = self._order.rows(self._behind(positions[at], attempt))
            failures = self._images.read(rows[at], at, put)
        return rows, tuple(replaced)

    def _behind(self, positions: Positions, attempt: int) -> Positions:
        """Return the same places of the batch that comes so many behind, of those that are left."""
        size = self._replace_after
        batches = [batches_behind(int(p) // size, attempt, self._passed_over) for p in positions]
        return np.array(batches, dtype=np.int64) * size + positions % size

    def _replaced(
        self, positions: Positions, rows: RowNumbers, errors: Sequence[InputError]
    ) -> list[Replaced]:
        columns = (positions.tolist(), self.keys(rows), self._index.places(rows), errors)
        return [
            Replaced(position=position, key=key, place=place, why=str(error))
            for position, key, place, error in zip(*columns, strict=True)
        ]
