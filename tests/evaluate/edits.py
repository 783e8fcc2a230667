"""Data sets of queries that edit an image, for the tests of CIRR and FashionIQ."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from embedded import embedded_benchmark, image_called

from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.datasets.images import ImageFile
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.metrics.vectors import Vectors, unit_rows
from openalign.evaluate.tasks.contract import Material, Sampling
from openalign.evaluate.tasks.edits.edits import EDITS, TextOf, texts_of

SAMPLING = Sampling(bootstrap=Bootstrap(resamples=50, confidence=0.9, seed=0), num_examples=12)


def random_edits(
    galleries: dict[str, tuple[int, ...]], *, num_queries: int, seed: int
) -> ComposedDataset:
    """Return queries of each gallery, each with a group of six of it."""
    draw = np.random.default_rng(seed)
    queries: list[EditQuery] = []
    for category, gallery in galleries.items():
        for number in range(num_queries):
            group = tuple(int(at) for at in draw.choice(gallery, size=6, replace=False))
            queries.append(
                EditQuery(
                    id=f"{category}{number}",
                    reference=group[int(draw.integers(3))],
                    target=group[3 + int(draw.integers(3))],
                    captions=(f"more {number}?", f"less {number % 3}."),
                    group=group,
                    category=category,
                )
            )
    num_images = 1 + max(at for gallery in galleries.values() for at in gallery)
    return ComposedDataset(
        images=[image_called(f"{at}.png", split="val") for at in range(num_images)],
        test_split="val",
        queries=queries,
        galleries=galleries,
    )


def material_of(
    dataset: ComposedDataset,
    images: list[list[float]],
    text_of: TextOf,
    text_rows: dict[str, list[float]],
) -> Material:
    """Return the embeddings of a data set's images and of its queries' texts."""
    rows = [text_rows[text] for text in texts_of(dataset, text_of)]
    return Material(
        benchmark=embedded_benchmark(dataset, images),
        texts={EDITS: unit_rows(np.array(rows, dtype=np.float64))},
    )


def slow_first_places(
    query: Vectors, image_rows: Vectors, gallery: tuple[int, ...], *, without: int | None
) -> list[int]:
    """Return a gallery's images, the nearest first, without one of them."""
    left = [at for at in gallery if at != without]
    return sorted(left, key=lambda at: -float(query @ image_rows[at]))


def place_in(order: list[int], query: EditQuery) -> int:
    """Return where a query's target comes."""
    assert query.target is not None
    return order.index(query.target)


def painted(dataset: ComposedDataset, folder: Path) -> ComposedDataset:
    """Return the data set with the painted squares as its images."""
    colors = ("red", "green", "blue", "yellow", "black", "gray", "purple", "orange")
    images = [
        replace(image, name=f"{color}.png", place=ImageFile(str(folder), f"{color}.png"))
        for image, color in zip(dataset.images, colors, strict=True)
    ]
    return replace(dataset, images=images)
