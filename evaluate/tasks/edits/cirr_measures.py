"""Measures of CIRR, on embeddings alone.

Over the split, a query searches every image but its own. Within its group it searches the images
that look like its own, which the data set names. The mean of recall at 5 and subset recall at 1 is
the one number that papers compare.

Shape suffixes:
    Q  queries
"""

# ruff: noqa: N806  # capitals are shape suffixes

import numpy as np

from openalign.evaluate.metrics.bootstrap import Bootstrap, Ints
from openalign.evaluate.metrics.ranking import Ranks, chance_recall, mean_of, rank_among, recalls
from openalign.evaluate.metrics.resampled import Resampled
from openalign.evaluate.tasks.contract import (
    Material,
    Measured,
    QueryWeights,
    Sampling,
    name_of,
    recall_at,
)
from openalign.evaluate.tasks.edits.cirr import (
    MEAN,
    RECALL_AT,
    SUBSET_RECALL_AT,
    CirrFacts,
    CirrTask,
    subset_recall_at,
    text_of,
)
from openalign.evaluate.tasks.edits.edits import EditExamples
from openalign.evaluate.tasks.edits.edits_measures import (
    EmbeddedEdits,
    Searched,
    embedded_edits,
    examples_of,
    searched,
    shown_by_edits,
)


def measure(
    task: CirrTask, material: Material, sampling: Sampling
) -> Measured[CirrFacts, EditExamples]:
    """Return recall over the split and within the groups of each method, and some queries."""
    weights = QueryWeights(image=task.image_weight, plus=task.text_weight)
    edits = embedded_edits(material, task.benchmark, weights, text_of)
    (part,) = searched(edits, without_reference=True)
    examples = examples_of(edits, [part], sampling.num_examples)
    return Measured(
        resampled=[
            metric
            for method in edits.query_QD
            for metric in _metrics(
                f"cirr/{name_of(task)}/{method}", edits, part, method, sampling.bootstrap
            )
        ],
        facts=CirrFacts(
            split=edits.dataset.test_split,
            num_queries=len(part.query_Q),
            num_gallery_images=len(part.gallery_G),
            image_weight=task.image_weight,
            text_weight=task.text_weight,
        ),
        examples=examples,
        shown=shown_by_edits(examples),
    )


def _metrics(
    prefix: str, edits: EmbeddedEdits, part: Searched, method: str, bootstrap: Bootstrap
) -> list[Resampled]:
    """Return a method's recalls and their mean; the bootstrap draws targets."""
    one_Q = np.ones_like(part.target_Q)
    others_Q = np.full_like(one_Q, len(part.gallery_G) - 1)
    everywhere = recalls(
        prefix,
        part.ranks[method],
        at={k: recall_at(k) for k in RECALL_AT},
        group_Q=part.target_Q,
        chance=[chance_recall(k, one_Q, others_Q) for k in RECALL_AT],
        bootstrap=bootstrap,
    )
    ranks, alike_Q = group_ranks(edits, method)
    in_group = recalls(
        prefix,
        ranks,
        at={k: subset_recall_at(k) for k in SUBSET_RECALL_AT},
        group_Q=part.target_Q,
        chance=[chance_recall(k, one_Q, alike_Q) for k in SUBSET_RECALL_AT],
        bootstrap=bootstrap,
    )
    compared = [everywhere[RECALL_AT.index(5)], in_group[SUBSET_RECALL_AT.index(1)]]
    return [
        *everywhere,
        *in_group,
        mean_of(f"{prefix}/{MEAN}", compared, n=len(one_Q), bootstrap=bootstrap),
    ]


def group_ranks(edits: EmbeddedEdits, method: str) -> tuple[Ranks, Ints]:
    """Return each target's rank among the images that look like the query's, and their number.

    The query's own image is not among them.
    """
    found: list[tuple[int, int, int]] = []
    alike: list[int] = []
    for query, query_D in zip(edits.dataset.queries, edits.query_QD[method], strict=True):
        group = [place for place in query.group if place != query.reference]
        right = np.flatnonzero(np.array(group) == query.target)
        found.append(rank_among(edits.image_GD[group] @ query_D, right, left_out=None))
        alike.append(len(group))
    above_Q, tied_Q, right_tied_Q = np.array(found).T
    return Ranks(above_Q=above_Q, tied_Q=tied_Q, right_tied_Q=right_tied_Q), np.array(alike)
