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

from openalign.evaluate.bootstrap import Bootstrap, Floats, Ints, mean_intervals
from openalign.evaluate.drawing.sampling import FIRST, sample
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.composed import (
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
)
from openalign.evaluate.tasks.composed_queries import ComposedQuery, read_queries, words_of
from openalign.evaluate.tasks.contract import (
    RECALL_AT,
    Material,
    Measured,
    QueryWeights,
    Sampling,
    name_of,
)
from openalign.evaluate.vectors import Vectors, best, reaches, score_blocks, unit_rows


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
    queries = read_queries(task.path, benchmark.images)
    row_of = dict(zip(words_of(queries), material.texts[WORDS], strict=True))
    embedded = _embedded(queries, names, row_of)
    weights = query_weights(task)
    query_vectors = vectors_of(embedded, benchmark.image_GD, weights)
    ranks = {
        method: ranks_of(query_QD, benchmark.image_GD, embedded)
        for method, query_QD in query_vectors.items()
    }
    asked = sample([f"{q.image}\0{q.minus}\0{q.plus}" for q in queries], sampling.num_examples)
    firsts = first_results(
        query_vectors[COMBINED][asked], benchmark.image_GD, embedded.image_Q[asked], FIRST
    )
    examples = ComposedExamples(
        queries=tuple(
            ComposedExample(
                image=queries[at].image,
                minus=queries[at].minus,
                plus=queries[at].plus,
                target=queries[at].target,
                kind=queries[at].kind,
                rank=int(ranks[COMBINED][at]) + 1,
                image_only_rank=int(ranks[IMAGE_ONLY][at]) + 1,
                first=tuple(names[place] for place in first),
            )
            for at, first in zip(asked, firsts, strict=True)
        )
    )
    return Measured(
        metrics=gain_metrics(
            f"composed/{name_of(task)}",
            ranks,
            queries,
            target_Q=embedded.target_Q,
            num_gallery=len(names),
            bootstrap=sampling.bootstrap,
        ),
        facts=ComposedFacts(
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
    words_QD = weights.plus * queries.plus_QD - weights.minus * queries.minus_QD
    return {
        COMBINED: unit_rows(weights.image * image_QD + words_QD),
        IMAGE_ONLY: image_QD,
        TEXT_ONLY: unit_rows(queries.plus_QD - queries.minus_QD),
    }


def ranks_of(query_QD: Vectors, image_GD: Vectors, queries: EmbeddedQueries) -> Ints:
    """Return how many images come before each target, or tie with it.

    Neither the target nor the query image is counted: the gallery is every other image.
    """
    found_Q = np.empty(len(query_QD), dtype=np.int64)
    for rows, scores in score_blocks(query_QD, image_GD):
        each = np.arange(len(scores))
        image_q, target_q = queries.image_Q[rows], queries.target_Q[rows]
        reached = reaches(scores, scores[each, target_q][:, None])
        reached[each, image_q] = False
        reached[each, target_q] = False
        found_Q[rows] = reached.sum(axis=1)
    return found_Q


def first_results(query_QD: Vectors, image_GD: Vectors, image_Q: Ints, k: int) -> list[list[int]]:
    """Return the places of the k best images of each query, without the query image."""
    found: list[list[int]] = []
    for rows, scores in score_blocks(query_QD, image_GD):
        scores[np.arange(len(scores)), image_Q[rows]] = -np.inf
        found += [best(score_G, k) for score_G in scores]
    return found


def gain_metrics(
    prefix: str,
    rank_by_method: Mapping[str, Ints],
    queries: Sequence[ComposedQuery],
    *,
    target_Q: Ints,
    num_gallery: int,
    bootstrap: Bootstrap,
) -> list[Metric]:
    """Return top-K of every method and the gain over image-only, kind by kind.

    The bootstrap draws target images with all queries that lead to them.
    """
    kinds = list(dict.fromkeys(query.kind for query in queries))
    metrics: list[Metric] = []
    for kind in kinds:
        of_kind = np.array([query.kind == kind for query in queries])
        hits = {
            method: np.stack([rank_Q[of_kind] < k for k in RECALL_AT], axis=1).astype(np.float64)
            for method, rank_Q in rank_by_method.items()
        }
        hits[GAIN] = hits[COMBINED] - hits[IMAGE_ONLY]
        for method, hit_QK in hits.items():
            chance = 0.0 if method == GAIN else 1.0 / (num_gallery - 1)
            name = f"{prefix}/{kind}/{method}"
            metrics += _top_k(
                name, hit_QK, target_Q[of_kind], chance_of_one=chance, bootstrap=bootstrap
            )
    return metrics


def _top_k(
    name: str, hit_QK: Floats, target_Q: Ints, *, chance_of_one: float, bootstrap: Bootstrap
) -> list[Metric]:
    low_K, high_K = mean_intervals(hit_QK, target_Q, bootstrap)
    return [
        Metric(
            name=f"{name}/top_{k}",
            value=float(hit_QK[:, column].mean()),
            low=float(low_K[column]),
            high=float(high_K[column]),
            n=len(hit_QK),
            chance=min(1.0, k * chance_of_one),
        )
        for column, k in enumerate(RECALL_AT)
    ]
