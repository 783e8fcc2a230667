"""Measures of FashionIQ, on embeddings alone.

A query searches the images of its category, its own among them, as the public scorer has it. The
means are over categories, which differ in size.

Shape suffixes:
    Q  queries
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence

import numpy as np

from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats
from openalign.evaluate.metrics.ranking import Ranks, chance_recall, even_weights, mean_of, recalls
from openalign.evaluate.metrics.resampled import Resampled
from openalign.evaluate.tasks.contract import (
    Material,
    Measured,
    QueryWeights,
    Sampling,
    name_of,
    recall_at,
)
from openalign.evaluate.tasks.edits.edits import EditExamples
from openalign.evaluate.tasks.edits.edits_measures import (
    Searched,
    embedded_edits,
    examples_of,
    searched,
    shown_by_edits,
)
from openalign.evaluate.tasks.edits.fashion_iq import (
    MEAN,
    RECALL_AT,
    CategoryFacts,
    FashionIqFacts,
    FashionIqTask,
    text_of,
)


def measure(
    task: FashionIqTask, material: Material, sampling: Sampling
) -> Measured[FashionIqFacts, EditExamples]:
    """Return recall in each category of each method, the means, and some queries."""
    weights = QueryWeights(image=task.image_weight, plus=task.text_weight)
    edits = embedded_edits(material, task.benchmark, weights, text_of)
    parts = searched(edits, without_reference=False)
    examples = examples_of(edits, parts, sampling.num_examples)
    prefix, bootstrap = f"fashion_iq/{name_of(task)}", sampling.bootstrap
    metrics = [
        found
        for part in parts
        for method in edits.query_QD
        for found in _recalls(f"{prefix}/{part.category}/{method}", [part], method, bootstrap)
    ]
    for method in edits.query_QD:
        means = _recalls(f"{prefix}/{MEAN}/{method}", parts, method, bootstrap)
        metrics += means
        num_queries = len(edits.dataset.queries)
        name = f"{prefix}/{MEAN}/{method}/{MEAN}"
        metrics.append(mean_of(name, means, n=num_queries, bootstrap=bootstrap))
    return Measured(
        resampled=metrics,
        facts=FashionIqFacts(
            split=edits.dataset.test_split,
            categories={
                part.category: CategoryFacts(
                    num_queries=len(part.query_Q), num_gallery_images=len(part.gallery_G)
                )
                for part in parts
            },
            image_weight=task.image_weight,
            text_weight=task.text_weight,
        ),
        examples=examples,
        shown=shown_by_edits(examples),
    )


def _recalls(
    prefix: str, parts: Sequence[Searched], method: str, bootstrap: Bootstrap
) -> list[Resampled]:
    """Return recall over some categories, of which each counts the same."""
    num_Q = [len(part.query_Q) for part in parts]
    weight_Q = even_weights(np.repeat(np.arange(len(parts)), num_Q))
    # The bootstrap draws targets; an image that is one in two categories is drawn for both.
    group_Q = np.concatenate([part.gallery_G[part.target_Q] for part in parts])
    return recalls(
        prefix,
        Ranks.joined([part.ranks[method] for part in parts]),
        at={k: recall_at(k) for k in RECALL_AT},
        group_Q=group_Q,
        chance=[_chance(k, parts, weight_Q) for k in RECALL_AT],
        bootstrap=bootstrap,
        weight_Q=weight_Q,
    )


def _chance(k: int, parts: Sequence[Searched], weight_Q: Floats) -> float:
    num_gallery_Q = np.concatenate(
        [np.full_like(part.target_Q, len(part.gallery_G)) for part in parts]
    )
    return chance_recall(k, np.ones_like(num_gallery_Q), num_gallery_Q, weight_Q=weight_Q)
