"""What a table of the paper is: its columns, and the rows that others have published."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openalign.evaluate.results import TaskResult

SAME_PROTOCOL = "yes"
"""What stands under "same protocol?" where all that is compared is known, and nothing differs."""

SETTINGS_NOT_KNOWN = "settings not known"
"""What stands there of a task whose settings the results do not have."""

ZERO_SHOT = "zero-shot"
FINE_TUNED = "fine-tuned"

ALIGN_MODEL = "ALIGN (L2 + Large)"
ALIGN_DATA = "1.8 billion pairs, not released"
COYO_B7 = "COYO-ALIGN (B7 + Base)"
COYO_DATA = "COYO-700M"
ALIGN_BASE = "kakaobrain/align-base"
COYO_README = "coyo-align, README"
MTEB = "MTEB's results"

_MISSING = "-"
_PLUS_MINUS = "\u00b1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of something the published number rests on beside its queries."""

    fact: str
    """What the task's facts call it: a number, or a list of so many."""

    number: int
    words: str
    """What is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledBy:
    """Which metric of a run stands in a column, and what it must be a number of."""

    kind: str
    """The task's kind."""

    metric: str
    """What follows `<kind>/<task>/` in the metric's name."""

    benchmarks: tuple[str, ...] = ()
    """Names of benchmarks that are the column's data set; empty for a metric over all tasks of the
    kind, such as a mean over data sets."""

    splits: tuple[str, ...] = ("test",)
    """What the published split is called; empty for a benchmark without splits."""

    num_queries: int | None = None
    """How many queries the published number is over; None where it is not known."""

    sizes: tuple[Size, ...] = ()
    """What else must be as large."""

    recipe: str = ""
    """The recipe of fine-tuning that a task must have had to stand in the column at all."""

    differences: Callable[[TaskResult, Mapping[str, Any]], Iterable[str]] | None = None
    """Say in few words what a task did otherwise than is published, by its facts and settings."""

    includes: Callable[[TaskResult], bool] = lambda _: True
    """Whether a metric over all tasks of the kind is also one over this task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of numbers."""

    title: str
    group: str = ""
    """What stands above it and its neighbors; empty where nothing does."""

    filled_by: FilledBy | None = None
    """None where no task measures it."""

    scale: float = 100.0
    """What a metric is multiplied by."""

    decimals: int = 1
    higher_is_better: bool = True

    @property
    def full_title(self) -> str:
        """The title with what stands above it."""
        return f"{self.group}, {self.title}" if self.group else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """What somebody has published of one model."""

    model: str
    data: str = ""
    """What it was trained on; empty where the source does not say."""

    setting: str
    values: tuple[str, ...]
    """A number a column, as printed; empty where the source gives none."""

    source: str
    protocol: str = SAME_PROTOCOL
    """Whether it was measured as a run's row is: `yes`, or in few words what differs."""


def papers_row(
    table: int,
    model: str,
    cells: str,
    *,
    setting: str,
    data: str = "",
    protocol: str = SAME_PROTOCOL,
) -> PublishedRow:
    """Return a row that a table of the paper has; cells are as `printed` takes them."""
    return PublishedRow(
        model=model,
        data=data,
        setting=setting,
        values=printed(cells),
        source=f"ALIGN, Table {table}",
        protocol=protocol,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OurRow:
    """A sort of row that a run can have in a table: where its numbers come from."""

    setting: str
    """What it stands under. Only rows of one setting are compared."""

    protocol: str = SAME_PROTOCOL
    """How it differs from the paper's protocol, whatever the run."""

    filled_by: Sequence[FilledBy | None]
    """Which metric stands in each column; None where no such task measures it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """One table of the paper, with what others have published beside it."""

    number: int
    title: str
    columns: Sequence[Column]
    rows: Sequence[PublishedRow]
    our_setting: str
    """What a run's row stands under, filled as the columns say. Only rows of one setting are
    compared."""

    our_protocol: str = SAME_PROTOCOL
    """How a run's row differs from the paper's, whatever the run."""

    further: Sequence[OurRow] = ()
    """Other sorts of rows of a run, from tasks of other kinds or in other measures."""

    notes: Sequence[str] = ()
    """What a reader must know of the published numbers."""

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row.values) == len(self.columns), f"table {self.number}, {row.model}"
        for sort in self.further:
            filled = zip(sort.filled_by, self.columns, strict=True)
            assert all(by is None or column.filled_by for by, column in filled), sort.setting

    @property
    def our_rows(self) -> Sequence[OurRow]:
        """All sorts of rows that a run can have, the nearest to the paper's protocol first."""
        first = OurRow(
            setting=self.our_setting,
            protocol=self.our_protocol,
            filled_by=[column.filled_by for column in self.columns],
        )
        return [first, *self.further]

    @property
    def name(self) -> str:
        """What its files and its place in the page are called."""
        return f"table-{self.number}"

    @property
    def heading(self) -> str:
        """Its number and title."""
        return f"Table {self.number}: {self.title}"


def printed(cells: str) -> tuple[str, ...]:
    """Return the cells of a row, written with blanks between them, `-` for none and `+-`."""
    return tuple(
        "" if cell == _MISSING else cell.replace("+-", _PLUS_MINUS) for cell in cells.split()
    )


def printed_value(cell: str) -> float | None:
    """Return the number of a printed cell, without its deviation; None for an empty one."""
    return float(cell.partition(_PLUS_MINUS)[0]) if cell else None


def canonical(benchmark: str) -> str:
    """Return a benchmark's name as names are compared: capitals, `-` and `_` do not count."""
    return benchmark.lower().replace("-", "").replace("_", "")
