"""Benchmarks whose embeddings a test writes down, for every test of a task's measures."""

from collections.abc import Sequence

import numpy as np

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.metrics.ranking import Ranks
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark, owners


def image_called(
    name: str, *captions: str, split: str = "test", label: int | None = None
) -> BenchmarkImage:
    """Return an image that lies nowhere."""
    return BenchmarkImage(
        name=name, split=split, place=ImageFile("images", name), captions=captions, label=label
    )


def embedded_benchmark(
    dataset: Dataset,
    image_rows: Sequence[Sequence[float]],
    caption_rows: Sequence[Sequence[float]] = (),
    *,
    name: str = "pets",
) -> EmbeddedBenchmark:
    """Return a benchmark with these embeddings, each scaled to length 1."""
    return EmbeddedBenchmark(
        name=name,
        dataset=dataset,
        image_GD=_unit(image_rows),
        caption_GD=_unit(caption_rows) if caption_rows else None,
        owner_G=owners([image.captions for image in dataset.images]),
        content_hash="",
    )


def _unit(rows: Sequence[Sequence[float]]) -> Vectors:
    width = len(rows[0]) if rows else 0
    return unit_rows(np.array(rows, dtype=np.float64).reshape(len(rows), width))


def random_rows(num: int, width: int, *, seed: int) -> list[list[float]]:
    """Return rows of normal numbers, among which no two cosines tie."""
    return np.random.default_rng(seed).normal(size=(num, width)).tolist()


def ranked(rank: Sequence[int], tied: Sequence[int] | None = None) -> Ranks:
    """Return ranks as they are, with ties as misses; `tied` of them are ties."""
    ties = np.array(tied if tied is not None else [0] * len(rank), dtype=np.int64)
    return Ranks(above_Q=np.array(rank) - ties, tied_Q=ties, right_tied_Q=np.ones_like(ties))
