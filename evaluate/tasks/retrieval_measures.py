"""Measures of retrieval (ALIGN §5.1): recall at K in both directions, on embeddings alone.

A query's rank is the number of gallery items of *other* images that score as high as its best own
item: 0 is the first place, and a tie counts as a miss. So a collapsed model, for which everything
is equal, scores zero and not one, and so does one whose embeddings are NaN.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
    K  places that count: `RECALL_AT`
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import math
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.benchmark import EmbeddedBenchmark
from openalign.evaluate.bootstrap import (
    Bootstrap,
    Ints,
    lower_median,
    mean_intervals,
    median_interval,
)
from openalign.evaluate.drawing.sampling import nearest, sample
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.contract import RECALL_AT, Measured, Sampling, name_of
from openalign.evaluate.tasks.retrieval import (
    GALLERY,
    IMAGE_TO_TEXT,
    MEDIAN_RANK,
    SPLIT,
    TEXT_TO_IMAGE,
    FoundCaption,
    ImageQuery,
    RetrievalExamples,
    RetrievalFacts,
    RetrievalTask,
    TextQuery,
    recall_at,
)
from openalign.evaluate.vectors import Vectors, reaches, score_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """What is searched: some images and all their captions, by their places."""

    scope: str
    images: Ints
    captions: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRanks:
    """The rank of every query of a split in one gallery."""

    text_to_image: Ints
    image_to_text: Ints


def measure(
    task: RetrievalTask, benchmark: EmbeddedBenchmark, sampling: Sampling
) -> Measured[RetrievalFacts, RetrievalExamples]:
    """Return recall in both directions, within the split and over the whole gallery.

    A gallery that is the split itself is measured once.
    """
    splits = {task.split, *task.gallery_splits} if task.gallery_splits else None
    small = _gallery(SPLIT, benchmark, {task.split})
    large = _gallery(GALLERY, benchmark, splits)
    galleries = [small, large] if len(small.images) < len(large.images) else [small]
    ranks = [_ranks(benchmark, small, gallery) for gallery in galleries]
    metrics = [
        metric
        for gallery, found in zip(galleries, ranks, strict=True)
        for metric in _recalls(
            f"retrieval/{name_of(task)}/{gallery.scope}",
            benchmark,
            queries=small,
            gallery=gallery,
            ranks=found,
            bootstrap=sampling.bootstrap,
        )
    ]
    examples = _examples(benchmark, small, ranks[0], sampling.num_examples)
    return Measured(
        metrics=metrics,
        facts=RetrievalFacts(
            split=task.split,
            num_images=len(small.images),
            num_captions=len(small.captions),
            gallery_splits=tuple(sorted({benchmark.images[at].split for at in large.images})),
            num_gallery_images=len(large.images),
            num_gallery_captions=len(large.captions),
        ),
        examples=examples,
        shown={query.image for query in examples.image_to_text}.union(
            *({query.image, *query.first} for query in examples.text_to_image)
        ),
    )


def _gallery(scope: str, benchmark: EmbeddedBenchmark, splits: set[str] | None) -> Gallery:
    images = np.flatnonzero([splits is None or image.split in splits for image in benchmark.images])
    captions = np.flatnonzero(np.isin(benchmark.owner_G, images))
    return Gallery(scope=scope, images=images, captions=captions)


def _ranks(benchmark: EmbeddedBenchmark, queries: Gallery, gallery: Gallery) -> QueryRanks:
    owner_G, caption_GD = benchmark.owner_G, benchmark.captions_embedded
    return QueryRanks(
        text_to_image=ranks_of(
            caption_GD[queries.captions],
            benchmark.image_GD[gallery.images],
            query_owner_Q=owner_G[queries.captions],
            gallery_owner_G=gallery.images,
        ),
        image_to_text=ranks_of(
            benchmark.image_GD[queries.images],
            caption_GD[gallery.captions],
            query_owner_Q=queries.images,
            gallery_owner_G=owner_G[gallery.captions],
        ),
    )


def ranks_of(
    query_QD: Vectors, gallery_GD: Vectors, *, query_owner_Q: Ints, gallery_owner_G: Ints
) -> Ints:
    """Return each query's rank, 0 for the first place.

    Own items are those with the query's owner (its image's number). A query needs at least one.
    """
    own_G = np.argsort(gallery_owner_G, kind="stable")
    first_Q = np.searchsorted(gallery_owner_G[own_G], query_owner_Q, side="left")
    after_Q = np.searchsorted(gallery_owner_G[own_G], query_owner_Q, side="right")
    assert bool((first_Q < after_Q).all()), "a query has no item of its own in the gallery"
    found_Q = np.empty(len(query_QD), dtype=np.int64)
    for rows, scores in score_blocks(query_QD, gallery_GD):
        for query, score_G in zip(range(len(query_QD))[rows], scores, strict=True):
            own = own_G[first_Q[query] : after_Q[query]]
            reached = reaches(score_G, score_G[own].max())
            found_Q[query] = np.count_nonzero(reached) - np.count_nonzero(reached[own])
    return found_Q


def _recalls(
    prefix: str,
    benchmark: EmbeddedBenchmark,
    *,
    queries: Gallery,
    gallery: Gallery,
    ranks: QueryRanks,
    bootstrap: Bootstrap,
) -> list[Metric]:
    owner_Q = benchmark.owner_G[queries.captions]
    num_captions = np.bincount(benchmark.owner_G, minlength=len(benchmark.images))
    return [
        *rank_metrics(
            f"{prefix}/{TEXT_TO_IMAGE}",
            ranks.text_to_image,
            group_Q=owner_Q,
            num_own_Q=np.ones_like(owner_Q),
            num_gallery=len(gallery.images),
            bootstrap=bootstrap,
        ),
        *rank_metrics(
            f"{prefix}/{IMAGE_TO_TEXT}",
            ranks.image_to_text,
            group_Q=queries.images,
            num_own_Q=num_captions[queries.images],
            num_gallery=len(gallery.captions),
            bootstrap=bootstrap,
        ),
    ]


def rank_metrics(
    prefix: str,
    rank_Q: Ints,
    *,
    group_Q: Ints,
    num_own_Q: Ints,
    num_gallery: int,
    bootstrap: Bootstrap,
) -> list[Metric]:
    """Return recall at K and the median rank (1 is the first place) with intervals and chance.

    `group_Q` is the image of each query: images are what the bootstrap draws. `num_own_Q` is how
    many right answers each query has in the gallery.
    """
    hit_QK = np.stack([rank_Q < k for k in RECALL_AT], axis=1).astype(np.float64)
    low_K, high_K = mean_intervals(hit_QK, group_Q, bootstrap)
    metrics = [
        Metric(
            name=f"{prefix}/{recall_at(k)}",
            value=float(hit_QK[:, column].mean()),
            low=float(low_K[column]),
            high=float(high_K[column]),
            n=len(rank_Q),
            chance=chance_recall(k, num_own_Q, num_gallery),
        )
        for column, k in enumerate(RECALL_AT)
    ]
    place_Q = rank_Q.astype(np.float64) + 1.0
    low, high = median_interval(place_Q, group_Q, bootstrap)
    return [
        *metrics,
        Metric(
            name=f"{prefix}/{MEDIAN_RANK}",
            value=lower_median(place_Q),
            low=low,
            high=high,
            n=len(rank_Q),
            chance=float(chance_median_rank(num_own_Q, num_gallery)),
            higher_is_better=False,
        ),
    ]


def chance_recall(k: int, num_own_Q: Ints, num_gallery: int) -> float:
    """Return the expected recall at K of a random order.

    With c right answers among N: 1 - C(N-c, K) / C(N, K), averaged over the queries.
    """
    own, how_often = np.unique(num_own_Q, return_counts=True)
    missed = sum(
        int(often) * _chance_of_none(k, int(c), num_gallery)
        for c, often in zip(own, how_often, strict=True)
    )
    return 1.0 - missed / len(num_own_Q)


def _chance_of_none(k: int, num_own: int, num_gallery: int) -> float:
    """C(N-c, K) / C(N, K), as the product over the c right answers of missing the first K."""
    return math.prod(
        max(0, num_gallery - k - placed) / (num_gallery - placed) for placed in range(num_own)
    )


def chance_median_rank(num_own_Q: Ints, num_gallery: int) -> int:
    """Return the smallest K at which a random order reaches a recall of one half."""
    low, high = 1, num_gallery
    while low < high:
        middle = (low + high) // 2
        if chance_recall(middle, num_own_Q, num_gallery) >= 0.5 - 1e-12:
            high = middle
        else:
            low = middle + 1
    return low


def _examples(
    benchmark: EmbeddedBenchmark, queries: Gallery, ranks: QueryRanks, num_examples: int
) -> RetrievalExamples:
    """Return some queries within the split with their first results."""
    names, captions = [image.name for image in benchmark.images], benchmark.captions
    owner_G, caption_GD = benchmark.owner_G, benchmark.captions_embedded
    texts, images = queries.captions, queries.images
    asked = sample([f"{names[owner_G[text]]}\0{captions[text]}" for text in texts], num_examples)
    shown = sample([names[image] for image in images], num_examples)
    found_images = nearest(caption_GD[texts[asked]], benchmark.image_GD[images])
    found_texts = nearest(benchmark.image_GD[images[shown]], caption_GD[texts])
    return RetrievalExamples(
        text_to_image=tuple(
            TextQuery(
                caption=captions[texts[at]],
                image=names[owner_G[texts[at]]],
                rank=int(ranks.text_to_image[at]) + 1,
                first=tuple(names[images[place]] for place in first),
            )
            for at, first in zip(asked, found_images, strict=True)
        ),
        image_to_text=tuple(
            ImageQuery(
                image=names[images[at]],
                captions=benchmark.images[images[at]].captions,
                rank=int(ranks.image_to_text[at]) + 1,
                first=tuple(
                    FoundCaption(image=names[owner_G[texts[place]]], text=captions[texts[place]])
                    for place in first
                ),
            )
            for at, first in zip(shown, found_texts, strict=True)
        ),
    )
