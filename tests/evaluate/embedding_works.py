"""A process that makes embeddings, by an embedder whose rows can be told by eye."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.embedding.chunks import ChunkStore
from openalign.evaluate.embedding.embedder import BulkEmbedder
from openalign.evaluate.embedding.embeddings import EmbeddingWork
from openalign.evaluate.embedding.pace import PaceKeeper
from openalign.evaluate.metrics.vectors import Vectors
from openalign.files.sealed import SealedFiles
from openalign.train.ranks import RankGroup


class Lengths:
    """An embedder whose rows are lengths; it counts what it was asked for."""

    def __init__(self, identity: str = "one") -> None:
        self.identity = identity
        self.batches: list[int] = []
        self.texts: list[str] = []

    def pixels(self, contents: Sequence[bytes]) -> Tensor:
        if b"broken" in contents:
            raise InputError("an image cannot be decoded: it is broken")
        lengths = [math.nan if content == b"not finite" else len(content) for content in contents]
        return torch.tensor([[float(length), 1.0] for length in lengths])

    def embed_pixels(self, pixels: Tensor) -> Vectors:
        if pixels.isnan().any():
            raise InputError("an image's embedding is not finite", hint="the model is broken")
        self.batches.append(len(pixels))
        return pixels.numpy()

    def embed_images(self, contents: Sequence[bytes]) -> Vectors:
        return self.embed_pixels(self.pixels(contents))

    def embed_texts(self, texts: Sequence[str], *, projected: bool = True) -> Vectors:
        self.batches.append(len(texts))
        self.texts += texts
        return np.array([[len(text), float(projected)] for text in texts], dtype=np.float32)


def work_of(
    embedder: BulkEmbedder,
    folder: Path,
    *,
    batch_size: int = 3,
    previous: SealedFiles | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> EmbeddingWork:
    """Return a process that keeps chunks in a folder, and takes those of an earlier result."""
    return EmbeddingWork(
        embedder=embedder,
        store=ChunkStore(str(folder), previous),
        ranks=RankGroup(rank=rank, world_size=world_size, device=torch.device("cpu")),
        batch_size=batch_size,
        decode_threads=2,
        keeper=PaceKeeper(0, None, speaks=False),
    )


def image_at(path: Path) -> BenchmarkImage:
    """Return an image that is a file."""
    return BenchmarkImage(
        name=path.name, split="test", place=ImageFile(str(path.parent), path.name)
    )


def images_of(folder: Path, *contents: bytes) -> list[BenchmarkImage]:
    """Write files of these contents, called 0, 1, 2 and so on, and return them as images."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
    return [image_at(folder / str(number)) for number in range(len(contents))]
