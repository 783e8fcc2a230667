"""The report on several runs: the paper's tables with a row a run, and what they depend on.

It has no galleries; each run's own report has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.report import rendering
from openalign.evaluate.tables.filling import ReportTables, tables_of
from openalign.evaluate.tables.origins import EvaluatedRun
from openalign.evaluate.tables.paper import PAPER
from openalign.files import storage
from openalign.files.names import REPORT_HTML, REPORT_MARKDOWN, TABLES_FOLDER

WRITTEN = frozenset({REPORT_HTML, REPORT_MARKDOWN, TABLES_FOLDER})
"""What stands in the folder of such a report, and nothing else."""

_TEMPLATES = {REPORT_HTML: "several.html", REPORT_MARKDOWN: "several.md"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralRuns:
    """Everything that the templates show."""

    title: str
    runs: Sequence[EvaluatedRun]
    tables: ReportTables
    paper: str

    @property
    def confidence(self) -> float | None:
        """The share of resampled values in an interval; None where runs have different ones."""
        found = {run.results.settings.get("confidence") for run in self.runs}
        return found.pop() if len(found) == 1 else None


def build(runs: Sequence[EvaluatedRun]) -> SeveralRuns:
    """Gather what the page shows of runs of different names."""
    return SeveralRuns(
        title=", ".join(run.name for run in runs), runs=runs, tables=tables_of(runs), paper=PAPER
    )


def write(runs: Sequence[EvaluatedRun], output: str) -> None:
    """Write the page, the same in Markdown, and the tables' files, in place of earlier ones."""
    page = build(runs)
    pages = {name: rendering.render(form, page=page) for name, form in _TEMPLATES.items()}
    storage.remove(storage.join(output, TABLES_FOLDER))
    rendering.write(output, pages, page.tables)
