"""Measures of nearest neighbors (ALIGN §6, footnote 3), on the image tower's embeddings alone.

An image is a hit at K if a training image of its class is among the K nearest; R@1 is the accuracy
of the one nearest neighbor. A training image of another class that ties with the nearest one of the
right class comes before it. So an image's place is the number of images of other classes that score
as high as the best of its own, and a collapsed model has no hit.

Shape suffixes:
    Q  images that ask
    G  training images
    D  embedding width
    K  training images that are kept of each query
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.drawing.sampling import FIRST, sample
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.ranking import Ranks, chance_recall, rank_among, recalls
from openalign.evaluate.metrics.vectors import (
    Vectors,
    exceeds,
    num_true,
    reaches,
    rows_at,
    score_blocks,
)
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.classification.neighbors import (
    Neighbor,
    NeighborsExamples,
    NeighborsFacts,
    NeighborsQuery,
    NeighborsTask,
    splits_of,
)
from openalign.evaluate.tasks.classification.neighbors_search import FirstItems, first_items
from openalign.evaluate.tasks.contract import RECALL_AT, Measured, Sampling, name_of, recall_at
from openalign.evaluate.tasks.per_class_measures import (
    Outcome,
    class_scores,
    confused_pairs,
    titles_of,
)

_KEPT = RECALL_AT[-1] + 6
"""Training images that are looked at first. Some more than count, so that it is nearly always clear
whether a tie goes on behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedNeighbors:
    """How the images that ask are placed, and what was found for them."""

    ranks: Ranks
    nearest: FirstItems

    wrong_Q: Ints
    """Class of the nearest image of another class; -1 where none was looked at."""


def measure(
    task: NeighborsTask, benchmark: EmbeddedBenchmark, sampling: Sampling
) -> Measured[NeighborsFacts, NeighborsExamples]:
    """Return recall at K of a split among the images of another, with examples."""
    split, train_split = splits_of(task, benchmark.dataset)
    asking, searched = benchmark.places_of(split), benchmark.places_of(train_split)
    label_Q, label_G = benchmark.labels[asking], benchmark.labels[searched]
    found = find(
        rows_at(benchmark.image_GD, asking),
        rows_at(benchmark.image_GD, searched),
        label_Q=label_Q,
        label_G=label_G,
    )
    own_Q = np.bincount(label_G, minlength=len(benchmark.dataset.classes))[label_Q]
    examples = _examples(benchmark, found, asking, searched, sampling.num_examples)
    found_recalls = recalls(
        f"neighbors/{name_of(task)}",
        found.ranks,
        at={k: recall_at(k) for k in RECALL_AT},
        group_Q=np.arange(len(asking)),
        chance=[chance_recall(k, own_Q, np.full_like(own_Q, len(searched))) for k in RECALL_AT],
        bootstrap=sampling.bootstrap,
    )
    return Measured(
        resampled=found_recalls,
        facts=NeighborsFacts(
            split=split,
            train_split=train_split,
            num_images=len(asking),
            num_train_images=len(searched),
            num_classes=len(benchmark.dataset.classes),
            num_without_class=int(np.count_nonzero(own_Q == 0)),
        ),
        examples=examples,
        shown={
            name
            for query in examples.images
            for name in (query.image, *(n.image for n in query.first))
        }.union(*({pair.image, pair.other} for pair in examples.confused)),
    )


def find(
    query_QD: Vectors, gallery_GD: Vectors, *, label_Q: Ints, label_G: Ints
) -> RankedNeighbors:
    """Return how the nearest image of each query's class is placed among those of other classes.

    The nearest images tell it for nearly every query. Where a tie goes on behind them, all training
    images are counted.
    """
    nearest = first_items(query_QD, gallery_GD, _KEPT)
    label_QK = label_G[nearest.place_QK]
    is_right_QK = label_QK == label_Q[:, None]
    best_Q = np.where(is_right_QK, nearest.score_QK, -np.inf).max(axis=1)
    last_Q = nearest.score_QK[:, -1]
    # An image that was not looked at scores at most `last`; so does the best right one, if all
    # that was looked at is wrong.
    bound_Q1 = np.maximum(best_Q, last_Q)[:, None]
    is_above_QK = exceeds(nearest.score_QK, bound_Q1)  # none of them is right
    is_tied_QK = reaches(nearest.score_QK, bound_Q1) & ~is_above_QK
    ranks = Ranks(
        above_Q=num_true(is_above_QK),
        tied_Q=num_true(is_tied_QK & ~is_right_QK),
        right_tied_Q=num_true(is_tied_QK & is_right_QK),
    )
    ranks.above_Q[~np.isin(label_Q, label_G)] = RECALL_AT[-1]  # a miss at every K
    is_clear_Q = ~reaches(last_Q, best_Q) | (ranks.above_Q >= RECALL_AT[-1])
    for query, ranked in _counted(
        np.flatnonzero(~is_clear_Q),
        query_QD,
        gallery_GD,
        label_Q=label_Q,
        label_G=label_G,
    ):
        ranks.above_Q[query], ranks.tied_Q[query], ranks.right_tied_Q[query] = ranked
    first_wrong_Q = is_right_QK.argmin(axis=1)
    return RankedNeighbors(
        ranks=ranks,
        nearest=nearest,
        wrong_Q=np.where(
            is_right_QK.all(axis=1), -1, label_QK[np.arange(len(label_Q)), first_wrong_Q]
        ),
    )


def _counted(
    queries: Ints, query_QD: Vectors, gallery_GD: Vectors, *, label_Q: Ints, label_G: Ints
) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Yield some queries with their ranks by their scores with all training images."""
    for rows, scores in score_blocks(query_QD[queries], gallery_GD):
        for query, score_G in zip(queries[rows], scores, strict=True):
            right = np.flatnonzero(label_G == label_Q[query])
            yield int(query), rank_among(score_G, right, left_out=None)


def _examples(
    benchmark: EmbeddedBenchmark,
    found: RankedNeighbors,
    asking: Ints,
    searched: Ints,
    num_examples: int,
) -> NeighborsExamples:
    titles = titles_of(benchmark.dataset.classes)
    images, labels = benchmark.images, benchmark.labels
    names = [images[at].name for at in asking]
    outcome = Outcome(
        name_Q=names, label_Q=labels[asking], ranks=found.ranks, wrong_Q=found.wrong_Q
    )
    return NeighborsExamples(
        images=tuple(
            NeighborsQuery(
                image=names[query],
                title=titles[labels[asking[query]]],
                hit_at=next((k for k in RECALL_AT if found.ranks.rank_Q[query] < k), 0),
                first=tuple(
                    Neighbor(image=images[at].name, title=titles[labels[at]])
                    for at in searched[found.nearest.place_QK[query, :FIRST]]
                ),
            )
            for query in sample(names, num_examples)
        ),
        classes=tuple(class_scores(titles, outcome)),
        confused=tuple(confused_pairs(titles, outcome)),
    )
