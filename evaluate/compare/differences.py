"""Paired differences of runs, and what their intervals say.

Both models' values in a resample are of the same queries, so what is hard or easy for both of them
cancels out. The interval of the difference is narrower than the two intervals lead to expect.

Shape suffixes:
    R  resamples
"""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from openalign.errors import ConfigError, InputError
from openalign.evaluate.compare.evaluation import Evaluation
from openalign.evaluate.compare.pairing import why_not
from openalign.evaluate.compare.records import (
    Baseline,
    ComparedRun,
    Comparison,
    Difference,
    DifferenceVerdict,
    NotCompared,
)
from openalign.evaluate.metrics.bootstrap import interval_ends

_EQUAL = 1e-12
"""Two sums of the same numbers differ by less than this, whatever their order."""


def compare(
    base: Evaluation,
    others: Sequence[Evaluation],
    *,
    confidence: float | None = None,
    patterns: Sequence[str] = (),
) -> Comparison:
    """Return the difference of each metric of each run to that of the baseline.

    `confidence` is that of the baseline's intervals unless it is given; `patterns` choose metrics.

    Raises:
        ConfigError: the confidence is no share, or a pattern chooses nothing.
        InputError: a run has no metric that may be compared.
    """
    if confidence is None:
        confidence = float(base.results.settings["confidence"])
    if not 0.0 < confidence < 1.0:
        raise ConfigError(
            f"--confidence {confidence:g}: must be above 0 and below 1",
            hint="it is a share: 0.99 for 99 %",
        )
    names = list(dict.fromkeys(name for run in (base, *others) for name in run.metrics))
    chosen = _chosen(names, patterns)
    return Comparison(
        baseline=Baseline(name=base.name, hashes=base.results.hashes),
        runs=tuple(_compared(base, run, chosen, confidence) for run in others),
        confidence=confidence,
        metrics=tuple(patterns),
    )


def difference_of(
    metric: str, base: Evaluation, other: Evaluation, *, confidence: float
) -> Difference:
    """Return the difference of a metric that may be compared."""
    ours, theirs = base.metrics[metric], other.metrics[metric]
    value_R = other.resamples[metric] - base.resamples[metric]
    low, high = interval_ends(value_R, confidence)
    return Difference(
        metric=metric,
        baseline=ours.value,
        value=theirs.value,
        difference=theirs.value - ours.value,
        low=low,
        high=high,
        n=ours.n,
        resamples=len(value_R),
        higher_is_better=ours.higher_is_better,
        verdict=verdict_of(low, high, higher_is_better=ours.higher_is_better),
    )


def verdict_of(low: float, high: float, *, higher_is_better: bool) -> DifferenceVerdict:
    """Return what an interval says: nothing, unless it lies on one side of zero."""
    if not higher_is_better:
        low, high = -high, -low
    if low > _EQUAL:
        return DifferenceVerdict.BETTER
    return DifferenceVerdict.WORSE if high < -_EQUAL else DifferenceVerdict.NO_DIFFERENCE


_ABOUT_GALLERIES = (
    "; `openalign evaluate --data` takes the test split alone as the gallery, which the task of a "
    "pipeline does with `gallery_splits: null`"
)


def _chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"--metrics {pattern}: no metric is called so",
                hint=f"for example {names[0]}; `*` stands for any part of a name",
            )
    if not patterns:
        return list(names)
    return [name for name in names if any(fnmatchcase(name, each) for each in patterns)]


def _compared(
    base: Evaluation, other: Evaluation, names: Iterable[str], confidence: float
) -> ComparedRun:
    reasons = {name: why_not(name, base, other, confidence=confidence) for name in names}
    compared = ComparedRun(
        name=other.name,
        hashes=other.results.hashes,
        differences=tuple(
            difference_of(name, base, other, confidence=confidence)
            for name, reason in reasons.items()
            if not reason
        ),
        not_compared=tuple(
            NotCompared(metric=name, reason=reason) for name, reason in reasons.items() if reason
        ),
    )
    if not compared.differences:
        said = "; ".join(list(compared.by_reason())[:3])
        raise InputError(
            f"nothing of {other.name} can be compared with {base.name}: {said}",
            hint="measure both on the same data, with the same settings, seed and resamples"
            + (_ABOUT_GALLERIES if "gallery_splits" in said else ""),
        )
    return compared
