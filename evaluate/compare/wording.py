"""Numbers and counts of a comparison as people read them, on the page and in the terminal.

Shares and correlations are shown times 100, and median ranks as they are.
"""

from dataclasses import dataclass

from openalign.evaluate.compare.records import (
    ComparedRun,
    Comparison,
    Difference,
    DifferenceVerdict,
)
from openalign.evaluate.tasks.retrieval.retrieval import MEDIAN_RANK


@dataclass(frozen=True, slots=True, kw_only=True)
class Worded:
    """A difference in words."""

    metric: str
    baseline: str
    value: str
    difference: str
    low: str
    high: str
    verdict: DifferenceVerdict

    @property
    def interval(self) -> str:
        """Both ends."""
        return f"{self.low} to {self.high}"


def worded(difference: Difference) -> Worded:
    """Return a difference in words."""
    is_rank = is_of_ranks(difference)
    factor, digits = (1, 0) if is_rank else (100, 2)

    def plain(number: float) -> str:
        return f"{factor * number:z.{digits}f}"

    def signed(number: float) -> str:
        rounded = round(factor * number, digits)
        return f"{rounded:+.{digits}f}" if rounded else plain(0.0)

    return Worded(
        metric=difference.metric,
        baseline=plain(difference.baseline),
        value=plain(difference.value),
        difference=signed(difference.difference),
        low=signed(difference.low),
        high=signed(difference.high),
        verdict=difference.verdict,
    )


def is_of_ranks(difference: Difference) -> bool:
    """Tell whether a metric counts places and is no share."""
    return difference.metric.endswith(f"/{MEDIAN_RANK}")


def counts(run: ComparedRun) -> str:
    """Return how many metrics got each verdict."""
    return ", ".join(f"{len(run.of_verdict(verdict))} {verdict}" for verdict in DifferenceVerdict)


def about_chance(comparison: Comparison, run: ComparedRun) -> str:
    """Return a sentence about what chance alone would bring."""
    return (
        f"If both models were equal, about {comparison.worse_by_chance(run):.1f} of "
        f"{len(run.differences)} metrics would still be called worse, and as many better."
    )


def confidence(comparison: Comparison) -> str:
    """Return how much of the resampled differences an interval holds."""
    return f"{100 * comparison.confidence:g} %"
