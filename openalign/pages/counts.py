"""Counts as pages show them: a line each, with its share of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLine:
    """A value, how often it occurs, and its share of all."""

    name: str
    meaning: str
    rows: int
    percent: float


def count_lines(
    counts: Mapping[str, int], whole: int, *, meanings: Mapping[str, str]
) -> list[CountLine]:
    """Return a line for each count above 0."""
    return [
        CountLine(name=name, meaning=meanings.get(name, ""), rows=rows, percent=100 * rows / whole)
        for name, rows in counts.items()
        if rows
    ]


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts from the largest to the smallest, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0])))
