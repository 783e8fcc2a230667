"""Measures of Crisscrossed Captions (ALIGN Tables 2 and 3), on embeddings alone.

Shape suffixes:
    Q  queries
    G  gallery
    N  rated pairs
    D  embedding width
    R  resamples
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset, RatedPair
from openalign.evaluate.drawing.sampling import nearest, sample
from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats, Ints
from openalign.evaluate.metrics.correlation import codes_of, spearman
from openalign.evaluate.metrics.ranking import Ranks, RightItems, chance_recall, ranks_of, recalls
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.metrics.vectors import Vectors, cosines_of_pairs
from openalign.evaluate.tasks.benchmark import owners
from openalign.evaluate.tasks.contract import (
    RECALL_AT,
    Material,
    Measured,
    Sampling,
    name_of,
    recall_at,
)
from openalign.evaluate.tasks.similarity.cxc import (
    FEWEST_QUERIES,
    MEAN,
    RATINGS,
    SIS,
    SITS,
    STS,
    CorrelationFacts,
    CxcExamples,
    CxcFacts,
    CxcTask,
    DirectionFacts,
    SimilarImageQuery,
    correlation_name,
    direction_prefix,
    split_of,
)
from openalign.evaluate.tasks.similarity.cxc_rights import (
    IMAGE_TO_IMAGE,
    IMAGE_TO_TEXT,
    TEXT_TO_IMAGE,
    TEXT_TO_TEXT,
    Rights,
    rated_split,
    right_items,
)

_FAST_RESAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A split's ratings with its embeddings."""

    dataset: CxcDataset
    image_GD: Vectors
    caption_GD: Vectors
    owner_G: Ints
    """Caption by caption, the place of its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CxcDirection:
    """Queries for which something in a gallery is right, and where the best of it came."""

    query_Q: Ints
    right: RightItems
    ranks: Ranks
    num_gallery: int
    """Items that a query can find."""

    num_skipped: int
    group_Q: Ints
    """The image of each query: images are what the bootstrap draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Rated pairs of one sort: queries, the items that were rated with them, and the ratings."""

    query_N: Ints
    item_N: Ints
    rating_N: Floats

    def turned(self) -> "Pairs":
        """Return the same pairs with the items as queries."""
        return replace(self, query_N=self.item_N, item_N=self.query_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """The correlation of one sort of pairs in each resample."""

    num_queries: int
    num_pairs: int
    value_R: Floats


def measure(
    task: CxcTask, material: Material, sampling: Sampling
) -> Measured[CxcFacts, CxcExamples]:
    """Return recall in four directions, three correlations with their mean, and some queries."""
    rated, bootstrap = _rated(task, material), sampling.bootstrap
    directions = _directions(task, rated)
    num_resamples = _FAST_RESAMPLES if sampling.fast else task.correlation_resamples
    correlations = _correlations(rated, num_resamples, seed=bootstrap.seed)
    examples = _examples(rated, directions.get(IMAGE_TO_IMAGE), sampling.num_examples)
    return Measured(
        resampled=[
            *(
                metric
                for name, direction in directions.items()
                for metric in _recalls(direction_prefix(name_of(task), name), direction, bootstrap)
            ),
            *_correlation_metrics(name_of(task), correlations, bootstrap.confidence),
        ],
        facts=_facts(task, rated, directions, correlations, num_resamples),
        examples=examples,
        shown={
            name
            for query in examples.image_to_image
            for name in (query.image, *query.first, query.right[0])
        },
    )


def _rated(task: CxcTask, material: Material) -> Rated:
    benchmark = material.benchmark
    assert isinstance(benchmark.dataset, CxcDataset), "the data set was checked beforehand"
    split = split_of(task, benchmark.dataset)
    images = benchmark.places_of(split)
    captions = np.flatnonzero(np.isin(benchmark.owner_G, images))
    dataset = rated_split(benchmark.dataset, split)
    return Rated(
        dataset=dataset,
        image_GD=benchmark.image_GD[images],
        caption_GD=benchmark.captions_embedded[captions],
        owner_G=owners([image.captions for image in dataset.images]),
    )


def _directions(task: CxcTask, rated: Rated) -> dict[str, CxcDirection]:
    rights = right_items(
        rated.dataset,
        from_score=task.right_from_score,
        own_captions=task.own_captions,
        co_captions=task.co_captions,
    )
    image_G = np.arange(len(rated.image_GD))
    images, captions = (rated.image_GD, image_G), (rated.caption_GD, rated.owner_G)
    return {
        name: _direction(rights[name], queries, gallery)
        for name, queries, gallery in (
            (IMAGE_TO_TEXT, images, captions),
            (TEXT_TO_IMAGE, captions, images),
            (TEXT_TO_TEXT, captions, captions),
            (IMAGE_TO_IMAGE, images, images),
        )
        if rights[name]
    }


def _direction(
    rights: Rights, queries: tuple[Vectors, Ints], gallery: tuple[Vectors, Ints]
) -> CxcDirection:
    """Search a gallery; where it is that of the queries, a query does not find itself.

    Queries and gallery are given with the image of each.
    """
    rows_GD, image_G = queries
    is_within = queries is gallery
    query_Q = np.array(sorted(rights), dtype=np.int64)
    right = RightItems.of(sorted(rights[int(query)]) for query in query_Q)
    return CxcDirection(
        query_Q=query_Q,
        right=right,
        ranks=ranks_of(
            rows_GD[query_Q], gallery[0], right, left_out_Q=query_Q if is_within else None
        ),
        num_gallery=len(gallery[0]) - is_within,
        num_skipped=len(rows_GD) - len(query_Q),
        group_Q=image_G[query_Q],
    )


def _recalls(prefix: str, direction: CxcDirection, bootstrap: Bootstrap) -> list[Resampled]:
    num_right_Q = direction.right.num_Q
    num_gallery_Q = np.full_like(num_right_Q, direction.num_gallery)
    return recalls(
        prefix,
        direction.ranks,
        at={k: recall_at(k) for k in RECALL_AT},
        group_Q=direction.group_Q,
        chance=[chance_recall(k, num_right_Q, num_gallery_Q) for k in RECALL_AT],
        bootstrap=bootstrap,
    )


def _correlations(rated: Rated, num_resamples: int, *, seed: int) -> dict[str, Correlation]:
    """Return the correlation of each sort of pairs.

    The queries of caption-image pairs are the images: the published standard deviations (Table 3)
    are those of draws of half of 25,000 captions (STS), 5,000 images (SIS) and 5,000 images (SITS).
    """
    dataset, images, captions = rated.dataset, rated.image_GD, rated.caption_GD
    sorts = {
        STS: (_pairs_of(dataset.caption_pairs), captions, captions),
        SIS: (_pairs_of(dataset.image_pairs), images, images),
        SITS: (_pairs_of(dataset.caption_image_pairs).turned(), images, captions),
    }
    return {
        name: resampled_correlation(
            pairs,
            cosines_of_pairs(query_GD, pairs.query_N, item_GD, pairs.item_N),
            num_resamples,
            np.random.Generator(np.random.PCG64([seed, number])),
        )
        for number, (name, (pairs, query_GD, item_GD)) in enumerate(sorts.items())
        if len(np.unique(pairs.query_N)) >= FEWEST_QUERIES
    }


def _pairs_of(pairs: Sequence[RatedPair]) -> Pairs:
    return Pairs(
        query_N=np.array([pair.first for pair in pairs]),
        item_N=np.array([pair.second for pair in pairs]),
        rating_N=np.array([pair.score for pair in pairs]),
    )


def resampled_correlation(
    pairs: Pairs, cosine_N: Floats, num_resamples: int, random: np.random.Generator
) -> Correlation:
    """Return Spearman's correlation of ratings and cosines in each resample.

    A resample takes half of the queries, rounded down, none twice, and one of the pairs of each.
    """
    by_query = np.argsort(pairs.query_N, kind="stable")
    num_Q = np.unique(pairs.query_N, return_counts=True)[1]
    start_Q = np.cumsum(num_Q) - num_Q
    rating, cosine = codes_of(pairs.rating_N[by_query]), codes_of(cosine_N[by_query])
    value_R = np.empty(num_resamples)
    for resample in range(num_resamples):
        drawn = random.permutation(len(num_Q))[: len(num_Q) // 2]
        picked = start_Q[drawn] + random.integers(num_Q[drawn])
        value_R[resample] = spearman(rating[picked], cosine[picked])
    return Correlation(num_queries=len(num_Q), num_pairs=len(pairs.query_N), value_R=value_R)


def _correlation_metrics(
    task: str, correlations: Mapping[str, Correlation], confidence: float
) -> list[Resampled]:
    """Return the mean over resamples of each correlation, and of the mean of all three."""
    value_R = {name: each.value_R for name, each in correlations.items()}
    num = {name: each.num_queries for name, each in correlations.items()}
    if len(correlations) == len(RATINGS):
        value_R[MEAN] = np.mean(list(value_R.values()), axis=0)
        num[MEAN] = sum(num.values())
    return [
        resampled_metric(
            correlation_name(task, name),
            float(values.mean()),
            values,
            confidence=confidence,
            n=num[name],
            chance=0.0,
        )
        for name, values in value_R.items()
    ]


def _facts(
    task: CxcTask,
    rated: Rated,
    directions: Mapping[str, CxcDirection],
    correlations: Mapping[str, Correlation],
    num_resamples: int,
) -> CxcFacts:
    return CxcFacts(
        split=split_of(task, rated.dataset),
        num_images=len(rated.image_GD),
        num_captions=len(rated.caption_GD),
        right_from_score=task.right_from_score,
        own_captions=task.own_captions,
        co_captions=task.co_captions,
        correlation_resamples=num_resamples,
        directions={
            name: DirectionFacts(
                num_queries=len(each.query_Q),
                num_skipped=each.num_skipped,
                num_right=len(each.right.item_N),
            )
            for name, each in directions.items()
        },
        correlations={
            name: CorrelationFacts(
                num_queries=each.num_queries,
                num_pairs=each.num_pairs,
                std=float(each.value_R.std()),
            )
            for name, each in correlations.items()
        },
    )


def _examples(rated: Rated, direction: CxcDirection | None, num_examples: int) -> CxcExamples:
    """Return some queries of images by images with their first results."""
    if direction is None:
        return CxcExamples(image_to_image=())
    names = [image.name for image in rated.dataset.images]
    asked = sample([names[query] for query in direction.query_Q], num_examples)
    query_Q = direction.query_Q[asked]
    firsts = nearest(rated.image_GD[query_Q], rated.image_GD, left_out_Q=query_Q)
    rights = direction.right.each()
    return CxcExamples(
        image_to_image=tuple(
            SimilarImageQuery(
                image=names[direction.query_Q[at]],
                right=tuple(names[place] for place in rights[at]),
                rank=int(direction.ranks.rank_Q[at]) + 1,
                first=tuple(names[place] for place in first),
            )
            for at, first in zip(asked, firsts, strict=True)
        )
    )
