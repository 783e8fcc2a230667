"""What the measures of queries that edit an image share: their vectors, ranks and examples.

Shape suffixes:
    Q  queries
    G  gallery
    D  embedding width
"""

# ruff: noqa: N806, N815  # capitals are shape suffixes

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset
from openalign.evaluate.drawing.sampling import nearest, sample
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.ranking import Ranks, RightItems, ranks_of
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.tasks.composed.composed import COMBINED, IMAGE_ONLY
from openalign.evaluate.tasks.composed.composed_measures import EmbeddedQueries, vectors_of
from openalign.evaluate.tasks.contract import Material, QueryWeights
from openalign.evaluate.tasks.edits.edits import (
    EDITS,
    EditExample,
    EditExamples,
    TextOf,
    edits_of,
    texts_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEdits:
    """Queries with their vectors, in the data set's order."""

    dataset: ComposedDataset
    image_GD: Vectors
    texts: Sequence[str]
    reference_Q: Ints
    target_Q: Ints
    query_QD: Mapping[str, Vectors]
    """By method: image and text, the image alone, the text alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The queries of one category, and the gallery that they search."""

    category: str
    query_Q: Ints
    """Their places among all queries."""

    gallery_G: Ints
    """The places of its images among all images."""

    target_Q: Ints
    """The place in the gallery of each query's target."""

    left_out_Q: Ints | None
    """The place in the gallery of an image that the query must not find."""

    ranks: Mapping[str, Ranks]
    """Where each query's target came, by method."""


def embedded_edits(
    material: Material, benchmark: str, weights: QueryWeights, text_of: TextOf
) -> EmbeddedEdits:
    """Return the queries of a benchmark with their vectors."""
    dataset = edits_of(material.benchmark.dataset, benchmark)
    image_GD = material.benchmark.image_GD
    row_of = dict(zip(texts_of(dataset, text_of), material.texts[EDITS], strict=True))
    nothing = np.zeros(image_GD.shape[1], dtype=np.float32)
    texts = [text_of(query) for query in dataset.queries]
    embedded = EmbeddedQueries(
        image_Q=np.array([query.reference for query in dataset.queries]),
        target_Q=np.array([query.target for query in dataset.queries], dtype=np.int64),
        plus_QD=np.stack([row_of.get(text, nothing) for text in texts]),
        minus_QD=np.zeros((len(texts), len(nothing)), dtype=np.float32),
    )
    return EmbeddedEdits(
        dataset=dataset,
        image_GD=image_GD,
        texts=texts,
        reference_Q=embedded.image_Q,
        target_Q=embedded.target_Q,
        query_QD=vectors_of(embedded, image_GD, weights),
    )


def searched(edits: EmbeddedEdits, *, without_reference: bool) -> list[Searched]:
    """Return the ranks of the targets of every category that has a query.

    Where it says so, the image that a query edits is not in its gallery.
    """
    found: list[Searched] = []
    for category, gallery in edits.dataset.galleries.items():
        query_Q = np.flatnonzero([q.category == category for q in edits.dataset.queries])
        if not len(query_Q):
            continue
        gallery_G = np.array(gallery)
        at_G = np.full(len(edits.image_GD), -1)
        at_G[gallery_G] = np.arange(len(gallery_G))
        target_Q = at_G[edits.target_Q[query_Q]]
        left_out_Q = at_G[edits.reference_Q[query_Q]] if without_reference else None
        found.append(
            Searched(
                category=category,
                query_Q=query_Q,
                gallery_G=gallery_G,
                target_Q=target_Q,
                left_out_Q=left_out_Q,
                ranks={
                    method: ranks_of(
                        query_QD[query_Q],
                        edits.image_GD[gallery_G],
                        RightItems.one_each(target_Q),
                        left_out_Q=left_out_Q,
                    )
                    for method, query_QD in edits.query_QD.items()
                },
            )
        )
    return found


def examples_of(edits: EmbeddedEdits, parts: Sequence[Searched], num_examples: int) -> EditExamples:
    """Return some queries of each category with their first results, about so many in all."""
    names = [image.name for image in edits.dataset.images]
    found: list[EditExample] = []
    for part in parts:
        keys = [f"{names[edits.reference_Q[at]]}\0{edits.texts[int(at)]}" for at in part.query_Q]
        asked = sample(keys, max(1, num_examples // len(parts)))
        firsts = nearest(
            edits.query_QD[COMBINED][part.query_Q[asked]],
            edits.image_GD[part.gallery_G],
            left_out_Q=None if part.left_out_Q is None else part.left_out_Q[asked],
        )
        for at, first in zip(asked, firsts, strict=True):
            query = int(part.query_Q[at])
            found.append(
                EditExample(
                    reference=names[edits.reference_Q[query]],
                    text=edits.texts[query],
                    target=names[edits.target_Q[query]],
                    category=part.category,
                    rank=int(part.ranks[COMBINED].rank_Q[at]) + 1,
                    image_only_rank=int(part.ranks[IMAGE_ONLY].rank_Q[at]) + 1,
                    first=tuple(names[part.gallery_G[place]] for place in first),
                )
            )
    return EditExamples(queries=tuple(found))


def shown_by_edits(examples: EditExamples) -> frozenset[str]:
    """Return the names of the images that examples show."""
    return frozenset(_images(examples))


def _images(examples: EditExamples) -> Iterable[str]:
    for query in examples.queries:
        yield from (query.reference, query.target, *query.first)
