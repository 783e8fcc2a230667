"""Measures of zero-shot classification (ALIGN §5.2), on embeddings alone.

An image's scores are its cosines with the classes of its data set, so a set of 200 of ImageNet's
classes is scored over those 200. A class that ties with the right one comes before it: a
collapsed model has no hit. Scores are made block by block, and never for single prompts.

Shape suffixes:
    Q  images
    C  classes
    D  embedding width
"""

# ruff: noqa: N803, N806, N815  # capitals are shape suffixes

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openalign.evaluate.datasets.dataset import ImageClass
from openalign.evaluate.drawing.sampling import nearest, sample
from openalign.evaluate.metrics.bootstrap import Floats, Ints
from openalign.evaluate.metrics.ranking import Ranks
from openalign.evaluate.metrics.row_parts import in_parts
from openalign.evaluate.metrics.vectors import Vectors, exceeds, num_true, reaches, rows_at
from openalign.evaluate.tasks.classification.zero_shot import (
    PROMPTS,
    Calibration,
    ReliabilityBin,
    ZeroShotFacts,
    ZeroShotTask,
    split_of,
)
from openalign.evaluate.tasks.classification.zero_shot_prompts import (
    class_rows,
    names_of,
    templates_for,
)
from openalign.evaluate.tasks.contract import Material, Measured, Sampling, name_of
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.evaluate.tasks.per_class_measures import (
    Outcome,
    accuracy_metrics,
    classified_examples,
    shown_by_classes,
    titles_of,
)

NUM_BINS = 15
"""Ranges of confidence, as in the paper that made the error known (Guo et al., 2017)."""

_LOOKED_AT_ONCE = 1 << 19
"""Scores that stay in a core's cache while they are looked at several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What became of each image."""

    ranks: Ranks

    wrong_Q: Ints
    """The wrong class that came first; the right one where there is no other."""

    confidence_Q: Floats
    """Probability of the class that came first; not a number without a temperature."""


def measure(
    task: ZeroShotTask, material: Material, sampling: Sampling
) -> Measured[ZeroShotFacts, ClassifiedExamples]:
    """Return top-1, top-5 and the mean per class, with examples and calibration."""
    benchmark = material.benchmark
    dataset = benchmark.dataset
    split = split_of(task, dataset)
    places = benchmark.places_of(split)
    templates = templates_for(task, dataset)
    image_QD, label_Q = rows_at(benchmark.image_GD, places), benchmark.labels[places]
    class_CD = class_rows(material.texts[PROMPTS], dataset.classes, len(templates.texts))
    classified = classify(image_QD, class_CD, label_Q, temperature=material.temperature)
    outcome = Outcome(
        name_Q=[benchmark.images[at].name for at in places],
        label_Q=label_Q,
        ranks=classified.ranks,
        wrong_Q=classified.wrong_Q,
    )
    examples = _examples(dataset.classes, outcome, image_QD, class_CD, sampling.num_examples)
    return Measured(
        resampled=accuracy_metrics(
            f"zero_shot/{name_of(task)}",
            outcome,
            num_classes=len(class_CD),
            bootstrap=sampling.bootstrap,
        ),
        facts=ZeroShotFacts(
            split=split,
            num_images=len(places),
            num_classes=len(class_CD),
            num_empty_classes=len(class_CD) - len(np.unique(label_Q)),
            shared_names=_shared_names(dataset.classes),
            templates=templates.texts,
            templates_from=templates.source,
            num_prompts=len(material.texts[PROMPTS]),
            calibration=_calibration(classified, material.temperature),
        ),
        examples=examples,
        shown=shown_by_classes(examples),
    )


def classify(
    image_QD: Vectors, class_CD: Vectors, label_Q: Ints, *, temperature: float | None
) -> Classified:
    """Return how the right class of each image is placed among all classes."""
    above_Q, tied_Q, wrong_Q = (np.zeros(len(label_Q), dtype=np.int64) for _ in range(3))
    confidence_Q = np.full(len(label_Q), np.nan)

    def look(rows: slice) -> None:
        scores = image_QD[rows] @ class_CD.T
        each, label = np.arange(len(scores)), label_Q[rows]
        own = scores[each, label]
        scores[each, label] = -np.inf  # from here on it holds the wrong classes
        wrong_Q[rows] = scores.argmax(axis=1)
        first_wrong = scores[each, wrong_Q[rows]]
        missed = np.flatnonzero(reaches(first_wrong, own))
        above_Q[rows][missed], tied_Q[rows][missed] = _counted(
            scores[missed], own[missed], label[missed]
        )
        if temperature is not None:
            confidence_Q[rows] = _confidence(scores, own, first_wrong, temperature)

    in_parts(look, len(image_QD), step=max(1, _LOOKED_AT_ONCE // len(class_CD)))
    return Classified(
        ranks=Ranks(above_Q=above_Q, tied_Q=tied_Q, right_tied_Q=np.ones_like(above_Q)),
        wrong_Q=wrong_Q,
        confidence_Q=confidence_Q,
    )


def _counted(scores_QC: Vectors, own_Q: Vectors, label_Q: Ints) -> tuple[Ints, Ints]:
    """Return how many wrong classes score higher than the right one, and how many tie with it.

    A score that is not a number is higher: it is a miss, and no order of ties mends it.
    """
    each = np.arange(len(scores_QC))
    is_reached_QC = reaches(scores_QC, own_Q[:, None])
    is_above_QC = exceeds(scores_QC, own_Q[:, None])
    is_reached_QC[each, label_Q] = is_above_QC[each, label_Q] = False
    above_Q = num_true(is_above_QC)
    return above_Q, num_true(is_reached_QC) - above_Q


def _confidence(
    scores_QC: Vectors, own_Q: Vectors, first_wrong_Q: Vectors, temperature: float
) -> Vectors:
    """Return the probability of each image's first class; the scores of wrong ones are used up."""
    highest_Q = np.maximum(own_Q, first_wrong_Q)
    factor = np.float32(1.0 / temperature)
    scores_QC -= highest_Q[:, None]
    scores_QC *= factor
    np.exp(scores_QC, out=scores_QC)
    return 1.0 / (scores_QC.sum(axis=1) + np.exp((own_Q - highest_Q) * factor))


def _shared_names(classes: Sequence[ImageClass]) -> tuple[str, ...]:
    often = Counter(names_of(each) for each in classes)
    return tuple(names[0] for names, number in often.items() if number > 1)


def _calibration(classified: Classified, temperature: float | None) -> Calibration | None:
    """Return how far confidence and accuracy lie apart.

    Classes that tie share their probability, so one of them counts as right by its share, too.
    """
    if temperature is None:
        return None
    confidence_Q = classified.confidence_Q
    right_Q = classified.ranks.expected_hits((1,))[:, 0]
    bin_Q = np.minimum((confidence_Q * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins = [
        ReliabilityBin(
            num_images=int(is_in_Q.sum()),
            confidence=float(confidence_Q[is_in_Q].mean()),
            accuracy=float(right_Q[is_in_Q].mean()),
        )
        for is_in_Q in (bin_Q == number for number in np.unique(bin_Q))
    ]
    return Calibration(
        temperature=temperature,
        error=math.fsum(b.num_images * abs(b.confidence - b.accuracy) for b in bins) / len(bin_Q),
        confidence=float(confidence_Q.mean()),
        accuracy=float(right_Q.mean()),
        bins=tuple(bins),
    )


def _examples(
    classes: Sequence[ImageClass],
    outcome: Outcome,
    image_QD: Vectors,
    class_CD: Vectors,
    num_examples: int,
) -> ClassifiedExamples:
    titles = titles_of(classes)
    shown = sample(outcome.name_Q, num_examples)
    return classified_examples(titles, outcome, shown, nearest(image_QD[shown], class_CD))
