"""Counts class by class, for every task that tells classes apart.

Shape suffixes:
    Q  images that were asked about
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openalign.evaluate.datasets.dataset import ImageClass
from openalign.evaluate.drawing.sampling import sample
from openalign.evaluate.metrics.bootstrap import (
    Bootstrap,
    Floats,
    Ints,
    class_mean,
    resampled_class_means,
)
from openalign.evaluate.metrics.ranking import Ranks, recalls, where_different
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.tasks.per_class import (
    MEAN_PER_CLASS,
    TOP_AT,
    ClassifiedExamples,
    ClassifiedImage,
    ClassScore,
    ConfusedPair,
)

NUM_PAIRS = 12
"""Pairs of classes that are kept as examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of each image of a split."""

    name_Q: Sequence[str]
    label_Q: Ints
    ranks: Ranks

    wrong_Q: Ints
    """The class that came first among the wrong ones; -1 where none came at all."""


def titles_of(classes: Sequence[ImageClass]) -> list[str]:
    """Return what people read of each class; classes that share a name have their ids behind it."""
    often = Counter(each.title for each in classes)
    return [
        each.title if often[each.title] == 1 else f"{each.title} ({each.id})" for each in classes
    ]


def accuracy_metrics(
    prefix: str, outcome: Outcome, *, num_classes: int, bootstrap: Bootstrap
) -> list[Resampled]:
    """Return top-K and the mean over classes of their top-1.

    A K that holds every class says nothing and is left out. A class without an image in the split
    is no part of the mean, and the bootstrap leaves out of a draw the classes that it misses.
    """
    at = [k for k in TOP_AT if k < max(num_classes, 2)]
    label_Q, ranks = outcome.label_Q, outcome.ranks
    tops = recalls(
        prefix,
        ranks,
        at={k: f"top_{k}" for k in at},
        group_Q=np.arange(len(label_Q)),
        chance=[k / num_classes for k in at],
        bootstrap=bootstrap,
    )
    hit_Q, expected_Q = ranks.hits((1,))[:, 0], ranks.expected_hits((1,))[:, 0]
    value = class_mean(hit_Q, label_Q)
    mean = resampled_metric(
        f"{prefix}/{MEAN_PER_CLASS}",
        value,
        resampled_class_means(hit_Q, label_Q, bootstrap),
        confidence=bootstrap.confidence,
        n=len(label_Q),
        chance=1 / num_classes,
        ties_at_random=where_different(class_mean(expected_Q, label_Q), value),
    )
    return [*tops, mean]


def classified_examples(
    titles: Sequence[str], outcome: Outcome, shown: Sequence[int], first: Sequence[Sequence[int]]
) -> ClassifiedExamples:
    """Return the examples of a task; `shown` has places of images, `first` their first classes."""
    return ClassifiedExamples(
        images=tuple(
            ClassifiedImage(
                image=outcome.name_Q[at],
                title=titles[int(outcome.label_Q[at])],
                rank=1 + int(outcome.ranks.rank_Q[at]),
                first=tuple(titles[label] for label in labels),
            )
            for at, labels in zip(shown, first, strict=True)
        ),
        classes=tuple(class_scores(titles, outcome)),
        confused=tuple(confused_pairs(titles, outcome)),
    )


def shown_by_classes(examples: ClassifiedExamples) -> frozenset[str]:
    """Return the names of the images that the examples show."""
    alone = frozenset(image.image for image in examples.images)
    return alone.union(*({pair.image, pair.other} for pair in examples.confused))


def class_scores(titles: Sequence[str], outcome: Outcome) -> list[ClassScore]:
    """Return how each class fared that has an image, in the order of the classes."""
    num_C = np.bincount(outcome.label_Q, minlength=len(titles))
    first_C, fifth_C = (
        _mean_by_class(hit_Q, outcome.label_Q, num_C) for hit_Q in outcome.ranks.hits((1, 5)).T
    )
    most: dict[int, tuple[int, int]] = {}
    for number, label, wrong in _taken(outcome):
        most.setdefault(label, (number, wrong))  # the most frequent one comes first
    return [
        ClassScore(
            title=title,
            num_images=int(num_C[label]),
            hit_at_1=float(first_C[label]),
            hit_at_5=float(fifth_C[label]),
            taken_for=titles[most[label][1]] if label in most else "",
            num_taken=most[label][0] if label in most else 0,
        )
        for label, title in enumerate(titles)
        if num_C[label]
    ]


def confused_pairs(titles: Sequence[str], outcome: Outcome) -> list[ConfusedPair]:
    """Return the pairs that were confused most often, each with an image of either class.

    Images are drawn by the hash of their names.
    """
    num_C = np.bincount(outcome.label_Q, minlength=len(titles))
    return [
        ConfusedPair(
            title=titles[label],
            taken_for=titles[wrong],
            num_taken=number,
            num_images=int(num_C[label]),
            image=_drawn(
                outcome,
                (outcome.ranks.rank_Q > 0)
                & (outcome.label_Q == label)
                & (outcome.wrong_Q == wrong),
            ),
            other=_drawn(outcome, outcome.label_Q == wrong),
        )
        for number, label, wrong in _taken(outcome)[:NUM_PAIRS]
    ]


def _taken(outcome: Outcome) -> list[tuple[int, int, int]]:
    """Return how often images of a class were taken for another, the most frequent pair first."""
    taken_Q = (outcome.ranks.rank_Q > 0) & (outcome.wrong_Q >= 0)
    pairs, often = np.unique(
        np.stack([outcome.label_Q[taken_Q], outcome.wrong_Q[taken_Q]]), axis=1, return_counts=True
    )
    counted = [
        (int(number), int(label), int(wrong))
        for number, (label, wrong) in zip(often, pairs.T, strict=True)
    ]
    return sorted(counted, key=lambda pair: (-pair[0], *pair[1:]))


def _mean_by_class(value_Q: Floats, label_Q: Ints, num_C: Ints) -> Floats:
    return np.bincount(label_Q, value_Q, minlength=len(num_C)) / np.maximum(num_C, 1)


def _drawn(outcome: Outcome, is_chosen_Q: npt.NDArray[np.bool_]) -> str:
    names = [outcome.name_Q[int(at)] for at in np.flatnonzero(is_chosen_Q)]
    return names[sample(names, 1)[0]] if names else ""
