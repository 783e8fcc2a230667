"""What a comparison finds, as `compare.json` has it: typed, versioned, without clock and path."""

import json
from collections import Counter
from enum import StrEnum

import msgspec

COMPARE_VERSION = 1
"""Raised whenever a field changes its name, type or meaning."""


class DifferenceVerdict(StrEnum):
    """What the paired interval of a difference says."""

    WORSE = "worse"
    BETTER = "better"
    NO_DIFFERENCE = "no difference seen"


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of two runs."""

    metric: str
    baseline: float
    value: float
    """Of the run that is compared with the baseline."""

    difference: float
    """`value` less `baseline`."""

    low: float
    """Lower end of the difference's paired bootstrap interval."""

    high: float
    n: int
    """Queries of the metric."""

    resamples: int
    higher_is_better: bool
    verdict: DifferenceVerdict


class NotCompared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric without a paired difference."""

    metric: str
    reason: str


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run beside the baseline."""

    name: str
    hashes: dict[str, str]
    """As in its results: of the weights, of the preprocessing, and of each data set."""

    differences: tuple[Difference, ...]
    not_compared: tuple[NotCompared, ...]

    def of_verdict(self, verdict: DifferenceVerdict) -> list[Difference]:
        """Return the differences of a verdict, in the order of the results."""
        return [each for each in self.differences if each.verdict is verdict]

    def by_reason(self) -> dict[str, list[str]]:
        """Return the metrics that are not compared, by the reason, the most frequent first."""
        often = Counter(each.reason for each in self.not_compared)
        return {
            reason: [each.metric for each in self.not_compared if each.reason == reason]
            for reason, _ in often.most_common()
        }


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The run that the others are compared with."""

    name: str
    hashes: dict[str, str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `compare.json`."""

    baseline: Baseline
    runs: tuple[ComparedRun, ...]
    confidence: float
    """Share of the resampled differences that an interval holds."""

    metrics: tuple[str, ...]
    """The patterns that metrics were chosen by; none where all were."""

    version: int = COMPARE_VERSION

    @property
    def is_worse(self) -> bool:
        """Whether a metric of some run got worse beyond its interval."""
        return any(run.of_verdict(DifferenceVerdict.WORSE) for run in self.runs)

    def worse_by_chance(self, run: ComparedRun) -> float:
        """Return how many metrics would be called worse on average if both models were equal."""
        return len(run.differences) * (1.0 - self.confidence) / 2.0


def to_json(comparison: Comparison) -> str:
    """Return the text of `compare.json`."""
    plain = msgspec.to_builtins(comparison)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
