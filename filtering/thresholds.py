"""Which n-grams are frequent: one kind of threshold is one class.

A kind finds its cut in the histogram of counts and says in words what it keeps. A new kind is a
class with a `kind` of its own, a line in `Frequent`, and nothing else.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from openalign.settings.limits import at_least, positive_share

CountHistogram = Sequence[tuple[int, int]]
"""(count, how many n-grams have it), most frequent first, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """The most frequent n-grams are frequent, whatever their counts (ALIGN §3)."""

    kind: Literal["top_k"] = "top_k"
    """Which threshold this is."""

    k: int = 100_000_000
    """Number of frequent unigrams and bigrams together. Hashes break ties at the cut, so the number
    is exact."""

    def __post_init__(self) -> None:
        at_least(1, k=self.k)

    def find(self, descending: CountHistogram) -> tuple[int, int]:
        """Return the count at the cut, and how many of the n-grams that have it are kept."""
        num_kept = 0
        for value, number in descending:
            if num_kept + number >= self.k:
                return value, self.k - num_kept
            num_kept += number
        return descending[-1]

    def in_words(self) -> str:
        """Return what is kept, to follow "frequent n-grams are"."""
        return f"the most frequent {self.k:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinCount:
    """N-grams are frequent from a count on."""

    kind: Literal["min_count"] = "min_count"
    """Which threshold this is."""

    at_least: int
    """The smallest count of a frequent unigram or bigram."""

    def __post_init__(self) -> None:
        at_least(1, at_least=self.at_least)

    def find(self, descending: CountHistogram) -> tuple[int, int]:
        """Return the count at the cut, and how many of the n-grams that have it are kept."""
        kept = [(value, number) for value, number in descending if value >= self.at_least]
        return kept[-1] if kept else (descending[0][0], 0)

    def in_words(self) -> str:
        """Return what is kept, to follow "frequent n-grams are"."""
        return f"counted at least {self.at_least:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The most frequent n-grams are frequent, ties included, up to a share of all occurrences."""

    kind: Literal["coverage"] = "coverage"
    """Which threshold this is."""

    share: float
    """The frequent unigrams and bigrams make up at least this share of all occurrences."""

    def __post_init__(self) -> None:
        positive_share(share=self.share)

    def find(self, descending: CountHistogram) -> tuple[int, int]:
        """Return the count at the cut, and how many of the n-grams that have it are kept."""
        # The share is taken as written in decimal: 0.07 of 100 is 7, not 7.000000000000001.
        share = Fraction(str(self.share))
        wanted = math.ceil(share * sum(value * number for value, number in descending))
        covered = 0
        for value, number in descending:
            covered += value * number
            if covered >= wanted:
                return value, number
        return descending[-1]

    def in_words(self) -> str:
        """Return what is kept, to follow "frequent n-grams are"."""
        return f"the most frequent that cover a share of {self.share:,}"


Frequent = TopK | MinCount | Coverage
