"""Accuracies of several runs of one training: their means, and how far they lie apart.

Shape suffixes:
    Q  images that were asked about
    R  runs
    K  places that count as a hit
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import statistics
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from openalign.evaluate.metrics.bootstrap import (
    Bootstrap,
    Ints,
    class_mean,
    resampled_class_means,
    resampled_means,
)
from openalign.evaluate.metrics.ranking import Ranks
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks.per_class import MEAN_PER_CLASS, TOP_AT


def accuracy_over_runs(
    prefix: str,
    of_runs: Sequence[Ranks],
    label_Q: Ints,
    *,
    num_classes: int,
    bootstrap: Bootstrap,
) -> list[Resampled]:
    """Return top-K and the mean over classes of their top-1, each the mean over runs.

    Intervals draw the images anew. A K that holds every class says nothing and is left out.
    """
    at = [k for k in TOP_AT if k < max(num_classes, 2)]
    hit_QK = np.mean([ranks.hits(at) for ranks in of_runs], axis=0)
    value_RK = resampled_means(hit_QK, np.arange(len(hit_QK)), bootstrap)
    tops = [
        resampled_metric(
            f"{prefix}/top_{k}",
            float(hit_QK[:, place].mean()),
            value_RK[:, place],
            confidence=bootstrap.confidence,
            n=len(hit_QK),
            chance=k / num_classes,
        )
        for place, k in enumerate(at)
    ]
    first_Q = hit_QK[:, 0]
    mean = resampled_metric(
        f"{prefix}/{MEAN_PER_CLASS}",
        class_mean(first_Q, label_Q),
        resampled_class_means(first_Q, label_Q, bootstrap),
        confidence=bootstrap.confidence,
        n=len(first_Q),
        chance=1 / num_classes,
    )
    return [*tops, mean]


def deviation_over_runs(name: str, values: Sequence[float]) -> Resampled:
    """Return the standard deviation of what runs reach, as a metric without an interval."""
    deviation = deviation_of(values)
    return Resampled(
        metric=Metric(
            name=name,
            value=deviation,
            low=deviation,
            high=deviation,
            n=len(values),
            chance=0.0,
            higher_is_better=False,
        )
    )


def deviation_of(values: Sequence[float]) -> float:
    """Return the standard deviation of runs as a sample of all runs; 0 for one run."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def named(resampled: Resampled, name: str) -> Resampled:
    """Return a metric under another name."""
    return replace(resampled, metric=msgspec.structs.replace(resampled.metric, name=name))
