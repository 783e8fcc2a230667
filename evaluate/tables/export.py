"""Tables as files: CSV for programs, LaTeX (booktabs) for papers."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence

from openalign.evaluate.tables.contract import Column
from openalign.evaluate.tables.filling import Cell, FilledTable, OtherRow, ReportTables, Row

_FORMULA = ("=", "+", "-", "@")
"""How texts begin that a spreadsheet computes instead of showing them."""

OTHERS = "other-numbers"
"""What the files of the numbers are called that stand in no table of the paper."""

_BESIDE = ("low", "high", "n", "ties at random")
"""What a number of a run has beside its value, each in a column of its own in CSV."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u00b1": r"$\pm$",
    "[": "{[}",
    "*": "{*}",
}
"""The last two would be an option of the `\\\\` that ends the line before."""


def files_of(tables: ReportTables) -> dict[str, str]:
    """Return the text of each file by its name: two a table in which a run has a number."""
    files: dict[str, str] = {}
    for table in tables.filled:
        files[f"{table.table.name}.csv"] = to_csv(table)
        files[f"{table.table.name}.tex"] = to_latex(table)
    if tables.others:
        files[f"{OTHERS}.csv"] = others_to_csv(tables.others, tables.runs)
        files[f"{OTHERS}.tex"] = others_to_latex(tables.others, tables.runs)
    return files


def to_csv(table: FilledTable) -> str:
    """Return a table as CSV: a line a row; what is beside our numbers has columns of its own."""
    heading = ["Model", "Training data", "Setting"]
    for column in table.table.columns:
        heading += _headings(column.full_title, is_filled=column.filled_by is not None)
    lines = [[*heading, "Source", "Same protocol?"]]
    for row in table.rows:
        line = [_shown(row.model), row.data, row.setting]
        for column, cell in zip(table.table.columns, row.cells, strict=True):
            line += _fields(cell, is_filled=column.filled_by is not None)
        lines.append([*line, row.source, row.protocol])
    return _csv(lines)


def others_to_csv(rows: Sequence[OtherRow], runs: Sequence[str]) -> str:
    """Return the numbers that stand in no table of the paper, a line a metric."""
    heading = ["Metric"]
    for run in runs:
        heading += _headings(_shown(run), is_filled=True)
    lines = [heading]
    for row in rows:
        line = [row.metric]
        for cell in row.cells:
            line += _fields(cell, is_filled=True)
        lines.append(line)
    return _csv(lines)


def _headings(title: str, *, is_filled: bool) -> list[str]:
    return [title, *(f"{title}, {beside}" for beside in _BESIDE if is_filled)]


def _fields(cell: Cell, *, is_filled: bool) -> list[str]:
    if not is_filled:
        return [cell.text]
    ours = cell.ours
    if ours is None:
        return [cell.text, *("" for _ in _BESIDE)]
    return [cell.text, ours.low, ours.high, str(ours.n), ours.ties]


def _shown(text: str) -> str:
    """Return a text of a user in one line; a spreadsheet shows it and computes nothing."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def _csv(lines: Sequence[Sequence[str]]) -> str:
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="\n").writerows(lines)
    return sink.getvalue()


def to_latex(table: FilledTable) -> str:
    """Return a table as a `tabular` of booktabs; what differs in protocol stands above it."""
    columns = table.table.columns
    differing = [row for row in table.rows if row.is_ours and not row.has_same_protocol]
    return _tabular(
        comments=[
            table.table.heading,
            *(
                f"{row.model}, {row.setting}: the paper's protocol? {row.protocol}"
                for row in differing
            ),
        ],
        alignment="ll" + "r" * len(columns),
        headings=[*_group_headings(columns), _line(["Model", "Setting", *_titles(columns)])],
        lines=[
            [_escaped(row.model), _escaped(row.setting), *map(_latex_cell, row.cells)]
            for row in _by_setting(table.rows)
        ],
    )


def others_to_latex(rows: Sequence[OtherRow], runs: Sequence[str]) -> str:
    """Return the numbers that stand in no table of the paper as a `tabular` of booktabs."""
    return _tabular(
        comments=["Numbers that stand in no table of the paper, as results.json has them"],
        alignment="l" + "r" * len(runs),
        headings=[_line(["Metric", *map(_escaped, runs)])],
        lines=[[_escaped(row.metric), *map(_latex_cell, row.cells)] for row in rows],
    )


def _by_setting(rows: Sequence[Row]) -> list[Row]:
    """Return rows with those of one setting together, as the paper has them."""
    settings: Mapping[str, None] = dict.fromkeys(row.setting for row in rows)
    return [row for setting in settings for row in rows if row.setting == setting]


def _titles(columns: Sequence[Column]) -> list[str]:
    return [_escaped(column.title) for column in columns]


def _group_headings(columns: Sequence[Column]) -> list[str]:
    """Return the line above the titles, and the rules below its parts; nothing without groups."""
    if not any(column.group for column in columns):
        return []
    line, rules, first = ["", ""], [], 3
    for group, members in itertools.groupby(columns, lambda column: column.group):
        size = len(list(members))
        line.append(rf"\multicolumn{{{size}}}{{c}}{{{_escaped(group)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + size - 1}}}")
        first += size
    return [_line(line), " ".join(rules)]


def _latex_cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    if cell.is_best:
        text = rf"\textbf{{{text}}}"
    if cell.ours is not None:
        text += rf" {{\scriptsize [{cell.ours.low}, {cell.ours.high}]}}"
    return text


def _tabular(
    *,
    comments: Sequence[str],
    alignment: str,
    headings: Sequence[str],
    lines: Sequence[Sequence[str]],
) -> str:
    return "\n".join(
        [
            *(f"% {' '.join(comment.split())}" for comment in comments),
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            *headings,
            r"\midrule",
            *map(_line, lines),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
