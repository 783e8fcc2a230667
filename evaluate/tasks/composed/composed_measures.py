"""Measures of composed queries (ALIGN §7), on embeddings alone.

The score of a gallery image g is g * (w_i i + w_p p - w_m m) over unit vectors. It means nothing
alone: the image itself, without the words, is a strong query. So image-only and text-only stand
beside it, and the gain over image-only has an interval of its own from paired resamples.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
    K  places that count: `RECALL_AT`
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.drawing.sampling import nearest, sample
from openalign.evaluate.metrics.bootstrap import Bootstrap, Ints
from openalign.evaluate.metrics.ranking import Ranks, RightItems, difference_of, ranks_of, recalls
from openalign.evaluate.metrics.resampled import Resampled
from openalign.evaluate.metrics.vectors import Vectors, scaled, unit_rows
from openalign.evaluate.tasks.composed.composed import (
    COMBINED,
    GAIN,
    IMAGE_ONLY,
    TEXT_ONLY,
    WORDS,
    ComposedExample,
    ComposedExamples,
    ComposedFacts,
    ComposedTask,
    query_weights,
    top,
)
from openalign.evaluate.tasks.composed.composed_queries import ComposedQuery, read_queries, words_of
from openalign.evaluate.tasks.contract import (
    RECALL_AT,
    Material,
    Measured,
    QueryWeights,
    Sampling,
    name_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedQueries:
    """Queries with their embeddings; a missing text is a row of zeros."""

    image_Q: Ints
    """Place of the query image in the gallery."""

    target_Q: Ints
    plus_QD: Vectors
    minus_QD: Vectors


def measure(
    task: ComposedTask, material: Material, sampling: Sampling
) -> Measured[ComposedFacts, ComposedExamples]:
    """Return top-K of combined, image-only and text-only queries, and some of them as examples."""
    benchmark = material.benchmark
    names = [image.name for image in benchmark.images]
    left_out = benchmark.dataset.left_out
    queries = read_queries(task.path, benchmark.images, left_out=left_out)
    row_of = dict(zip(words_of(queries), material.texts[WORDS], strict=True))
    embedded = _embedded(queries, names, row_of)
    weights = query_weights(task)
    query_vectors = vectors_of(embedded, benchmark.image_GD, weights)
    ranks = {
        method: target_ranks(query_QD, benchmark.image_GD, embedded)
        for method, query_QD in query_vectors.items()
    }
    asked = sample([f"{q.image}\0{q.minus}\0{q.plus}" for q in queries], sampling.num_examples)
    firsts = nearest(
        query_vectors[COMBINED][asked], benchmark.image_GD, left_out_Q=embedded.image_Q[asked]
    )
    examples = ComposedExamples(
        queries=tuple(
            ComposedExample(
                image=queries[at].image,
                minus=queries[at].minus,
                plus=queries[at].plus,
                target=queries[at].target,
                kind=queries[at].kind,
                rank=int(ranks[COMBINED].rank_Q[at]) + 1,
                image_only_rank=int(ranks[IMAGE_ONLY].rank_Q[at]) + 1,
                first=tuple(names[place] for place in first),
            )
            for at, first in zip(asked, firsts, strict=True)
        )
    )
    return Measured(
        resampled=gain_metrics(
            f"composed/{name_of(task)}",
            ranks,
            queries,
            target_Q=embedded.target_Q,
            num_gallery=len(names),
            bootstrap=sampling.bootstrap,
        ),
        facts=ComposedFacts(
            kinds=kinds_of(queries),
            num_queries=len(queries),
            num_gallery_images=len(names),
            image_weight=weights.image,
            plus_weight=weights.plus,
            minus_weight=weights.minus,
        ),
        examples=examples,
        shown={
            name for query in examples.queries for name in (query.image, query.target, *query.first)
        },
    )


def _embedded(
    queries: Sequence[ComposedQuery], names: Sequence[str], row_of: Mapping[str, Vectors]
) -> EmbeddedQueries:
    nothing = np.zeros_like(next(iter(row_of.values())))
    row_of = {"": nothing, **row_of}
    place = {name: number for number, name in enumerate(names)}
    return EmbeddedQueries(
        image_Q=np.array([place[query.image] for query in queries]),
        target_Q=np.array([place[query.target] for query in queries]),
        plus_QD=np.stack([row_of[query.plus] for query in queries]),
        minus_QD=np.stack([row_of[query.minus] for query in queries]),
    )


def vectors_of(
    queries: EmbeddedQueries, image_GD: Vectors, weights: QueryWeights
) -> dict[str, Vectors]:
    """Return the unit query vectors of each method."""
    image_QD = image_GD[queries.image_Q]
    image, plus, minus = scaled([weights.image, weights.plus, weights.minus])
    words_QD = plus * queries.plus_QD - minus * queries.minus_QD
    return {
        COMBINED: unit_rows(image * image_QD + words_QD),
        IMAGE_ONLY: image_QD,
        TEXT_ONLY: unit_rows(queries.plus_QD - queries.minus_QD),
    }


def target_ranks(query_QD: Vectors, image_GD: Vectors, queries: EmbeddedQueries) -> Ranks:
    """Return the rank of each target; the gallery is every image but the query's."""
    right = RightItems.one_each(queries.target_Q)
    return ranks_of(query_QD, image_GD, right, left_out_Q=queries.image_Q)


def gain_metrics(
    prefix: str,
    ranks: Mapping[str, Ranks],
    queries: Sequence[ComposedQuery],
    *,
    target_Q: Ints,
    num_gallery: int,
    bootstrap: Bootstrap,
) -> list[Resampled]:
    """Return top-K of every method and the gain over image-only, kind by kind.

    The bootstrap draws target images with all queries that lead to them.
    """
    metrics: list[Resampled] = []
    for kind in kinds_of(queries):
        of_kind = np.flatnonzero([query.kind == kind for query in queries])
        found = {
            method: recalls(
                f"{prefix}/{kind}/{method}",
                ranks[method].subset(of_kind),
                at={k: top(k) for k in RECALL_AT},
                group_Q=target_Q[of_kind],
                chance=[min(1.0, k / (num_gallery - 1)) for k in RECALL_AT],
                bootstrap=bootstrap,
            )
            for method in ranks
        }
        metrics += [part for of_method in found.values() for part in of_method]
        metrics += [
            difference_of(
                f"{prefix}/{kind}/{GAIN}/{top(k)}", combined, image_only, bootstrap=bootstrap
            )
            for k, combined, image_only in zip(
                RECALL_AT, found[COMBINED], found[IMAGE_ONLY], strict=True
            )
        ]
    return metrics


def kinds_of(queries: Sequence[ComposedQuery]) -> tuple[str, ...]:
    """Return every kind of query, in the queries' order."""
    return tuple(dict.fromkeys(query.kind for query in queries))
