"""Runs in the paper's tables: which number fills which column, and what is best of a column.

A benchmark stands in a column if its name is a published name of the column's data set and the task
is of the column's kind. What stands in no table is in a table of its own.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from openalign.evaluate.results import Metric
from openalign.evaluate.tables.contract import (
    SAME_PROTOCOL,
    Column,
    OurRow,
    PaperTable,
    PublishedRow,
    printed_value,
)
from openalign.evaluate.tables.origins import (
    EvaluatedRun,
    Origin,
    anchor_of,
    origins_of,
)
from openalign.evaluate.tables.paper import TABLES
from openalign.evaluate.tables.placing import Placed, differences, placed_in

_THIS_REPORT = "this report"
_DIGITS = 4
"""Of a number whose unit only its kind knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OurNumber:
    """What stands beside a number of a run."""

    low: str
    high: str
    n: int
    ties: str
    """The value under a random order of ties; empty where it reads the same."""

    anchor: str
    """Where its origin stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A number as a table shows it."""

    text: str
    value: float | None
    """What the column is sorted by; None for an empty cell."""

    low: float | None = None
    high: float | None = None
    """The interval's ends, in the column's unit; the value itself where there is no interval."""

    ours: OurNumber | None = None
    is_best: bool = False


_EMPTY = Cell(text="", value=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model's row, a run's or a published one."""

    model: str
    data: str
    setting: str
    cells: Sequence[Cell]
    source: str
    protocol: str
    is_ours: bool = False

    @property
    def has_same_protocol(self) -> bool:
        """Whether all that is compared is known, and as in the paper's protocol."""
        return self.protocol == SAME_PROTOCOL


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledTable:
    """A table of the paper with the rows of runs, which stand first."""

    table: PaperTable
    rows: Sequence[Row]

    @property
    def has_ours(self) -> bool:
        """Whether a run has a number in it."""
        return any(row.is_ours for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRow:
    """A metric that stands in no table of the paper, with a cell a run."""

    metric: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTables:
    """All tables of some runs."""

    runs: Sequence[str]
    filled: Sequence[FilledTable]
    """Tables of the paper in which a run has a number."""

    empty: Sequence[FilledTable]
    """The others."""

    others: Sequence[OtherRow]
    origins: Sequence[Origin]


def tables_of(runs: Sequence[EvaluatedRun]) -> ReportTables:
    """Return the paper's tables with the rows of runs, and what stands in none of them."""
    tables: list[FilledTable] = []
    used: set[tuple[int, str]] = set()
    for table in TABLES:
        ours: list[Row] = []
        for i, run in enumerate(runs):
            for sort in table.our_rows:
                for task, placed in placed_in(sort, run.results).items():
                    used.update((i, each.metric.name) for each in placed.values())
                    ours.append(_our_row(table, sort, run, i, placed, task=task))
        rows = _with_best(table, [*ours, *(_published_row(row) for row in table.rows)])
        tables.append(FilledTable(table=table, rows=rows))
    return ReportTables(
        runs=[run.name for run in runs],
        filled=[table for table in tables if table.has_ours],
        empty=[table for table in tables if not table.has_ours],
        others=_others(runs, used),
        origins=origins_of(runs),
    )


def _our_row(  # what a row is of
    table: PaperTable,
    sort: OurRow,
    run: EvaluatedRun,
    index: int,
    placed: Mapping[int, Placed],
    *,
    task: str,
) -> Row:
    found = differences(sort, run.results, placed)
    if sort.protocol != SAME_PROTOCOL:
        found.insert(0, sort.protocol)
    return Row(
        model=f"{run.name}, task {task}" if task else run.name,
        data=run.data,
        setting=sort.setting,
        cells=[
            _our_cell(column, placed[i].metric, anchor_of(index, placed[i].position))
            if i in placed
            else _EMPTY
            for i, column in enumerate(table.columns)
        ],
        source=_THIS_REPORT,
        protocol="; ".join(found) or SAME_PROTOCOL,
        is_ours=True,
    )


def _our_cell(column: Column, metric: Metric, anchor: str) -> Cell:
    def shown(value: float) -> str:
        return f"{column.scale * value:z.{column.decimals}f}"

    return _cell(metric, anchor, shown, scale=column.scale)


def _other_cell(metric: Metric, anchor: str) -> Cell:
    return _cell(metric, anchor, lambda value: f"{value:.{_DIGITS}g}")


def _cell(
    metric: Metric, anchor: str, shown: Callable[[float], str], *, scale: float = 1.0
) -> Cell:
    text = shown(metric.value)
    ties = "" if metric.ties_at_random is None else shown(metric.ties_at_random)
    return Cell(
        text=text,
        value=scale * metric.value,
        low=scale * metric.low,
        high=scale * metric.high,
        ours=OurNumber(
            low=shown(metric.low),
            high=shown(metric.high),
            n=metric.n,
            ties="" if ties == text else ties,
            anchor=anchor,
        ),
    )


def _published_row(row: PublishedRow) -> Row:
    cells = [(text, printed_value(text)) for text in row.values]
    return Row(
        model=row.model,
        data=row.data,
        setting=row.setting,
        cells=[Cell(text=text, value=value, low=value, high=value) for text, value in cells],
        source=row.source,
        protocol=row.protocol,
    )


def _with_best(table: PaperTable, rows: Sequence[Row]) -> list[Row]:
    """Mark the best of each column among rows of one setting, where intervals leave no doubt."""
    marked = [list(row.cells) for row in rows]
    for setting in dict.fromkeys(sort.setting for sort in table.our_rows):
        compared = [
            i
            for i, row in enumerate(rows)
            if row.setting == setting and (row.has_same_protocol or not row.is_ours)
        ]
        for column in range(len(table.columns)):
            shown = [i for i in compared if rows[i].cells[column].value is not None]
            sign = 1.0 if table.columns[column].higher_is_better else -1.0
            for i in best_of([rows[at].cells[column] for at in shown], sign=sign):
                marked[shown[i]][column] = replace(marked[shown[i]][column], is_best=True)
    return [replace(row, cells=cells) for row, cells in zip(rows, marked, strict=True)]


def best_of(cells: Sequence[Cell], *, sign: float = 1.0) -> list[int]:
    """Return the places of the best cells; none where an interval leaves it open.

    A run's number is best if the whole of its interval lies at or above every published number, and
    above the intervals of other runs. A published number is best if none is higher and the
    intervals of all runs lie below it. Without a number of a run, or of another model, nothing is
    best. With a `sign` of -1 lower numbers are better.
    """
    ends = [sorted((sign * _end(cell.low), sign * _end(cell.high))) for cell in cells]
    ours = [i for i, cell in enumerate(cells) if cell.ours is not None]
    if not ours or len(cells) < 2:
        return []
    published = [i for i in range(len(cells)) if i not in ours]
    for i in ours:
        others = (j for j in ours if j != i)
        if all(ends[i][0] >= ends[j][1] for j in published) and all(
            ends[i][0] > ends[j][1] for j in others
        ):
            return [i]
    highest = max((ends[i][0] for i in published), default=None)
    if highest is None or any(ends[i][1] >= highest for i in ours):
        return []
    return [i for i in published if ends[i][0] == highest]


def _end(value: float | None) -> float:
    assert value is not None, "an empty cell is not compared"
    return value


def _others(runs: Sequence[EvaluatedRun], used: Collection[tuple[int, str]]) -> list[OtherRow]:
    """Return what stands in no table, in the order in which runs measured it."""
    left = [
        {m.name: j for j, m in enumerate(run.results.metrics) if (i, m.name) not in used}
        for i, run in enumerate(runs)
    ]
    return [
        OtherRow(
            metric=name,
            cells=[
                _other_cell(run.results.metrics[of_run[name]], anchor_of(i, of_run[name]))
                if name in of_run
                else _EMPTY
                for i, (run, of_run) in enumerate(zip(runs, left, strict=True))
            ],
        )
        for name in dict.fromkeys(name for of_run in left for name in of_run)
    ]
