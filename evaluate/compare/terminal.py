"""A comparison as lines of text: a table a run, in columns that tools can cut."""

from collections.abc import Iterator, Sequence

from openalign.evaluate.compare.records import ComparedRun, Comparison
from openalign.evaluate.compare.wording import about_chance, confidence, counts, worded

_HEADINGS = ("metric", "difference", "interval", "verdict")
_GAP = "  "
_NAMED = 3
"""Metrics that are named of those that cannot be compared for one reason; the files name all."""


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of all tables, with an empty one between two."""
    for number, run in enumerate(comparison.runs):
        if number:
            yield ""
        yield from _lines_of(comparison, run)


def _lines_of(comparison: Comparison, run: ComparedRun) -> Iterator[str]:
    total = len(run.differences) + len(run.not_compared)
    yield (
        f"{run.name} against {comparison.baseline.name}: {len(run.differences)} of {total} metrics "
        f"compared, {confidence(comparison)} intervals of the paired difference"
    )
    yield ""
    metric, *rest = _HEADINGS
    yield from _table(
        [
            (metric, comparison.baseline.name, run.name, *rest),
            *(
                (
                    each.metric,
                    each.baseline,
                    each.value,
                    each.difference,
                    each.interval,
                    each.verdict.value,
                )
                for each in map(worded, run.differences)
            ),
        ]
    )
    yield ""
    yield counts(run)
    yield about_chance(comparison, run)
    for reason, names in run.by_reason().items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"not compared, {reason}: {', '.join(names[:_NAMED])}{more}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows in columns: numbers to the right, words to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if 1 <= number <= 4 else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield _GAP.join(cells).rstrip()
