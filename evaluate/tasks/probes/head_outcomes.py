"""What a linear head makes of a benchmark's images."""

# ruff: noqa: N806  # capitals are shape suffixes

import numpy as np

from openalign.evaluate.linear.head import LinearHead, rank_classes
from openalign.evaluate.linear.rows import Labeled, Threads
from openalign.evaluate.metrics.bootstrap import Ints
from openalign.evaluate.metrics.ranking import Ranks
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.per_class_measures import Outcome


def labeled_at(benchmark: EmbeddedBenchmark, places: Ints) -> Labeled:
    """Return some images of a benchmark with their classes."""
    return Labeled(
        image_GD=benchmark.image_GD,
        places_N=places,
        label_N=benchmark.labels[places],
        num_classes=len(benchmark.dataset.classes),
    )


def outcome_of(
    benchmark: EmbeddedBenchmark, head: LinearHead, asked: Labeled, on: Threads
) -> Outcome:
    """Return what became of each image that was asked about."""
    found = rank_classes(head, asked, on)
    one_Q = np.ones_like(found.tied_N)
    return Outcome(
        name_Q=[benchmark.images[at].name for at in asked.places_N],
        label_Q=asked.label_N,
        ranks=Ranks(above_Q=found.above_N, tied_Q=found.tied_N, right_tied_Q=one_Q),
        wrong_Q=found.wrong_N,
    )
