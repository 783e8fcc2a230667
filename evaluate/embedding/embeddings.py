"""Makes the embeddings of images and texts, as one of the processes that share the work.

Images and texts are cut into chunks. Chunk k is made by rank k modulo their number, unless it is
there. What a chunk holds depends on its own images or texts alone, so neither the number of
processes nor where an earlier one was killed changes a byte.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from openalign.errors import InputError, StageError
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embedding import chunks
from openalign.evaluate.embedding.chunks import Chunk, ChunkStore, Unreadable
from openalign.evaluate.embedding.embedder import BulkEmbedder
from openalign.evaluate.embedding.images_ahead import (
    AwaitedBatch,
    DecodedBatch,
    FoundChunk,
    ImagesAhead,
)
from openalign.evaluate.embedding.pace import PaceKeeper
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.results import library_versions
from openalign.files.fingerprints import fingerprint_of
from openalign.train.ranks import RankGroup, from_every_rank, on_rank_0

T = TypeVar("T")

KINDS = ("images", "texts", "states")
"""What is embedded: images, texts, and texts up to before the projection."""

_CPU_THREADS = 4
"""Threads of a forward pass on CPUs. It is fixed: with another number sums have another order, and
the last bits differ. More processes use more cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Texts to embed."""

    texts: Sequence[str]
    projected: bool = True
    """Whether their embeddings are wanted, or their states before the projection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingWork:
    """One process that makes embeddings, and what it works with."""

    embedder: BulkEmbedder
    store: ChunkStore
    ranks: RankGroup
    batch_size: int
    decode_threads: int
    keeper: PaceKeeper

    def images(self, wanted: Mapping[str, Sequence[BenchmarkImage]]) -> dict[str, list[Chunk]]:
        """Make the embeddings of images, by file; return the chunks of each, on every rank.

        An image that cannot be decoded has no row; its chunk names it.

        Raises:
            InputError: names the image that cannot be read, or whose embedding is not finite.
            StageError: a batch does not fit into the memory of the device.
        """
        numbered = cut(wanted)
        ahead = ImagesAhead(
            self.embedder,
            self.store,
            how=how_made(self.embedder, self.batch_size, "images"),
            batch_size=self.batch_size,
            num_threads=self.decode_threads,
        )
        made: list[Chunk] = []
        rows: list[Vectors] = []
        unreadable: list[Unreadable] = []
        with ahead.started([images for _, images in share_of(numbered, self.ranks)]) as items:
            while (item := self._await(items)) is not None:
                if isinstance(item, FoundChunk):
                    made.append(item.chunk)
                    self.keeper.found(item.num_images)
                    continue
                batch = self._await_batch(item)
                if batch.pixels is not None:
                    rows.append(self._embed(batch))
                unreadable += batch.unreadable
                if item.is_last:
                    made.append(self.store.write(item.chunk, _stacked(rows), unreadable))
                    rows, unreadable = [], []
                self.keeper.made(batch.num_images)
        return self._of_all_ranks([file for file, _ in numbered], made)

    def texts(self, wanted: Mapping[str, Texts]) -> dict[str, list[Chunk]]:
        """Make the embeddings of texts, by file; return the chunks of each, on every rank.

        Raises:
            InputError: names the text whose embedding is not finite.
            StageError: a batch does not fit into the memory of the device.
        """
        numbered = cut({file: of_file.texts for file, of_file in wanted.items()})
        made: list[Chunk] = []
        for file, texts in share_of(numbered, self.ranks):
            projected = wanted[file].projected
            kind = "texts" if projected else "states"
            how = how_made(self.embedder, self.batch_size, kind)
            name = f"{how}-{fingerprint_of(list(texts))[:32]}"
            found = self.store.find(name)
            if found is None:
                found = self.store.write(name, self._embed_texts(texts, projected=projected))
            else:
                self.keeper.found(len(texts))
            made.append(found)
        return self._of_all_ranks([file for file, _ in numbered], made)

    def leave_out_damaged(self) -> None:
        """Take nothing from files of an earlier result that are not as they were written.

        All ranks must call this; rank 0 reads the files.
        """
        hows = [how_made(self.embedder, self.batch_size, kind) for kind in KINDS]
        self.store.leave_out(on_rank_0(self.ranks, lambda: self.store.damaged_files(hows)))

    def num_there(self, kind: str) -> int:
        """Return how many chunks of `images`, `texts` or `states` are there, of any content."""
        return self.store.count(how_made(self.embedder, self.batch_size, kind))

    def _embed_texts(self, texts: Sequence[str], *, projected: bool) -> Vectors:
        """Return a row for each text; texts of like length share a batch, to save padding."""
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts: list[Vectors] = []
        for start in range(0, len(order), self.batch_size):
            batch = [texts[place] for place in order[start : start + self.batch_size]]
            with self._within_memory():
                parts.append(self.embedder.embed_texts(batch, projected=projected))
            self.keeper.made(len(batch))
        rows = _stacked(parts)
        return rows[np.argsort(order)]

    def _embed(self, batch: DecodedBatch) -> Vectors:
        assert batch.pixels is not None
        try:
            with self._within_memory():
                return self.embedder.embed_pixels(batch.pixels)
        except InputError as error:
            for image, pixels in zip(batch.images, batch.pixels.split(1), strict=True):
                try:
                    self.embedder.embed_pixels(pixels)
                except InputError as cause:
                    raise InputError(f"{image.where}: {cause}", hint=cause.hint) from error
            raise

    @contextmanager
    def _within_memory(self) -> Generator[None]:
        import torch

        try:
            yield
        except torch.OutOfMemoryError as error:
            raise StageError(
                f"the memory of {self.ranks.device} does not hold a batch of {self.batch_size}",
                hint=f"set `evaluate.batch_size: {max(1, self.batch_size // 2)}`",
            ) from error

    def _of_all_ranks(self, files: Sequence[str], made: list[Chunk]) -> dict[str, list[Chunk]]:
        """Return the chunks of every file, in order, once every rank has made its share."""
        shares = from_every_rank(self.ranks, made)
        found: dict[str, list[Chunk]] = {}
        for number, file in enumerate(files):
            turn, rank = divmod(number, len(shares))
            found.setdefault(file, []).append(shares[rank][turn])
        return found

    def _await(
        self, items: Iterator[AwaitedBatch | FoundChunk]
    ) -> AwaitedBatch | FoundChunk | None:
        with self.keeper.waiting():
            return next(items, None)

    def _await_batch(self, item: AwaitedBatch) -> DecodedBatch:
        with self.keeper.waiting():
            return item.decoded.result()


def share_of(items: Sequence[T], ranks: RankGroup) -> Sequence[T]:
    """Return every item that is this rank's."""
    return items[ranks.rank :: ranks.world_size]


def how_made(embedder: BulkEmbedder, batch_size: int, kind: str) -> str:
    """Return what begins the names of chunks that are made alike.

    The rows of a batch depend on its size, and those of texts on the longest, in the last bit.
    """
    of_texts = ["by length"] if kind != "images" else []
    how = [embedder.identity, batch_size, kind, *of_texts, library_versions()]
    return fingerprint_of(how)[:16]


@contextmanager
def fixed_threads(ranks: RankGroup) -> Generator[None]:
    """Have forward passes on CPUs use a fixed number of threads while the block runs."""
    import torch

    before = torch.get_num_threads()
    if ranks.device.type == "cpu":
        torch.set_num_threads(_CPU_THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cut(wanted: Mapping[str, Sequence[T]]) -> list[tuple[str, Sequence[T]]]:
    """Return all chunks of all files, in order, each with its file."""
    return [
        (file, items[start : start + chunks.CHUNK])
        for file, items in wanted.items()
        for start in range(0, len(items), chunks.CHUNK)
    ]


def _stacked(parts: Sequence[Vectors]) -> Vectors:
    return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)
