"""What the report shows of means over VTAB's tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.results import Results
from openalign.evaluate.tasks.contract import OVERALL, FinishedTask
from openalign.evaluate.tasks.vtab_means import SETS, F, TaskSet, task_sets


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMean:
    """The mean over some tasks, or why there is none."""

    words: str
    number: Number | None
    deviation: str
    """Over runs, in points; empty where there is none."""

    why_not: str
    """Empty where there is a mean."""


def means_of(kind: str, tasks: Sequence[FinishedTask[F]], results: Results) -> list[ShownMean]:
    """Return the mean over all 19 tasks and over each group, of the tasks of a kind in a result."""
    return [show_mean(kind, each, results) for each in task_sets(tasks)]


def show_mean(kind: str, tasks: TaskSet[F], results: Results) -> ShownMean:
    """Return a mean as a table shows it, or the tasks for which there is none."""
    prefix = f"{kind}/{OVERALL}/{tasks.name}"
    if tasks.is_complete:
        deviations = [m for m in results.metrics if m.name == f"{prefix}_std"]
        return ShownMean(
            words=SETS[tasks.name],
            number=share_number(results.metric(prefix)),
            deviation=percent(deviations[0].value) if deviations else "",
            why_not="",
        )
    parts = [f"{tasks.size - len(tasks.missing)} of {tasks.size} tasks measured"]
    if tasks.missing:
        parts.append(f"missing: {', '.join(tasks.missing)}")
    if tasks.twice:
        parts.append(f"measured more than once: {', '.join(tasks.twice)}")
    return ShownMean(
        words=SETS[tasks.name], number=None, deviation="", why_not=f"no mean; {'; '.join(parts)}"
    )
