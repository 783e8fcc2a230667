"""The page of a comparison, in HTML and in Markdown, and `compare.json`."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from openalign.evaluate.compare import wording
from openalign.evaluate.compare.records import (
    ComparedRun,
    Comparison,
    Difference,
    DifferenceVerdict,
    to_json,
)
from openalign.evaluate.compare.wording import Worded, is_of_ranks, worded
from openalign.files import storage
from openalign.files.names import COMPARE_HTML, COMPARE_JSON, COMPARE_MARKDOWN
from openalign.pages import charts
from openalign.pages.templating import environment, page_style, templates_in

_template = templates_in("openalign.evaluate.compare")


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """A metric in the table."""

    words: Worded
    strip: str
    """The difference as a drawing; empty for ranks, which have another scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """What the page shows of one run."""

    run: ComparedRun
    by_verdict: Sequence[tuple[DifferenceVerdict, Sequence[DifferenceRow]]]
    """The rows of each verdict that has some, the worst first."""

    limit: str
    """Points at both ends of the strips."""

    by_chance: str


def write(comparison: Comparison, output: str) -> None:
    """Write `compare.html`, `compare.md` and `compare.json` into a folder."""
    for name in (COMPARE_HTML, COMPARE_MARKDOWN):
        storage.write_text(storage.join(output, name), render(comparison, name))
    storage.write_text(storage.join(output, COMPARE_JSON), to_json(comparison))


def render(comparison: Comparison, name: str) -> str:
    """Return the page in one of its two forms."""
    is_html = name == COMPARE_HTML
    made = environment(_template, is_html=is_html)
    made.filters["minus"] = lambda text: text.replace("-", "\u2212")
    made.filters["breakable"] = _breakable
    return made.get_template(name).render(
        comparison=comparison,
        confidence=wording.confidence(comparison),
        measured=[comparison.baseline, *comparison.runs],
        tables=[_tables(comparison, run) for run in comparison.runs],
        verdicts=list(DifferenceVerdict),
        worse=DifferenceVerdict.WORSE,
        better=DifferenceVerdict.BETTER,
        style=page_style() if is_html else "",
    )


def _tables(comparison: Comparison, run: ComparedRun) -> RunTables:
    shares = [each for each in run.differences if not is_of_ranks(each)]
    limit = max((abs(end) for each in shares for end in (each.low, each.high)), default=0.0)
    return RunTables(
        run=run,
        by_verdict=[
            (verdict, [_row(each, limit) for each in run.of_verdict(verdict)])
            for verdict in DifferenceVerdict
            if run.of_verdict(verdict)
        ],
        limit=f"{100 * limit:.2f}",
        by_chance=wording.about_chance(comparison, run),
    )


def _breakable(name: str) -> Markup:
    """Return a metric's name that may be broken behind each of its parts."""
    return escape(name).replace("/", Markup("/<wbr>"))


def _row(difference: Difference, limit: float) -> DifferenceRow:
    words = worded(difference)
    if is_of_ranks(difference) or not limit:
        return DifferenceRow(words=words, strip="")
    parts = (difference.difference, difference.low, difference.high)
    label = f"{words.difference} points, from {words.interval}"
    return DifferenceRow(
        words=words, strip=charts.gain_strip(*(x / limit for x in parts), label=label)
    )
