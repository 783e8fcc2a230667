"""Which number of a run stands in which column, and what differs from the published protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.results import Metric, Results, TaskResult
from openalign.evaluate.tables.contract import SETTINGS_NOT_KNOWN, FilledBy, OurRow, canonical
from openalign.evaluate.tables.origins import settings_of
from openalign.evaluate.tasks.contract import OVERALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A metric of a run that stands in a column."""

    metric: Metric
    position: int
    task: TaskResult | None
    """None for a metric over several tasks."""


def placed_in(sort: OurRow, results: Results) -> dict[str, dict[int, Placed]]:
    """Return a run's numbers in each of its rows of a sort, by column.

    The first row, of the name "", has the first task of each column. Every further task on the same
    data set has a row of its own, by the task's name.
    """
    found: dict[str, dict[int, Placed]] = {}
    for index, filled_by in enumerate(sort.filled_by):
        if filled_by is None:
            continue
        for i, placed in enumerate(_candidates(filled_by, results)):
            row = "" if i == 0 or placed.task is None else placed.task.name
            found.setdefault(row, {})[index] = placed
    return found


def _candidates(filled_by: FilledBy, results: Results) -> Iterator[Placed]:
    """Yield what may stand in a column, first that of a task that is called as its benchmark."""
    places = {metric.name: i for i, metric in enumerate(results.metrics)}
    keys: list[tuple[str, TaskResult | None]] = [(f"{filled_by.kind}/{OVERALL}", None)]
    if filled_by.benchmarks:
        names = {canonical(name) for name in filled_by.benchmarks}
        tasks = [
            task
            for task in results.tasks
            if _is_asked(task, filled_by) and canonical(task.benchmark) in names
        ]
        tasks.sort(key=lambda task: task.name != task.benchmark)
        keys = [(task.key, task) for task in tasks]
    for key, task in keys:
        position = places.get(f"{key}/{filled_by.metric}")
        if position is not None:
            yield Placed(metric=results.metrics[position], position=position, task=task)


def _is_asked(task: TaskResult, filled_by: FilledBy) -> bool:
    """Tell whether a task is of the kind, and where a recipe matters had it."""
    if task.kind != filled_by.kind:
        return False
    return not filled_by.recipe or task.facts.get("recipe") == filled_by.recipe


def differences(sort: OurRow, results: Results, placed: Mapping[int, Placed]) -> list[str]:
    """Return in few words what keeps a run's numbers from standing beside published ones.

    What the results do not say keeps them from it, too.
    """
    found: list[str] = []
    if results.settings.get("fast"):
        found.append("a fast run on the first images of each split")
    for i, number in placed.items():
        filled_by = sort.filled_by[i]
        assert filled_by is not None, sort.setting
        if number.task is not None:
            found += _other_split(filled_by, number.task)
        expected = filled_by.num_queries
        if expected is not None and number.metric.n != expected:
            found.append(f"{number.metric.n:,} queries, not {expected:,}")
        for task in _measured_by(filled_by, number.task, results):
            settings = settings_of(results, task)
            if not settings:
                found.append(SETTINGS_NOT_KNOWN)
            found += _other_sizes(filled_by, task)
            if filled_by.differences is not None:
                found += filled_by.differences(task, settings)
    return list(dict.fromkeys(found))


def _measured_by(
    filled_by: FilledBy, task: TaskResult | None, results: Results
) -> Sequence[TaskResult]:
    """Return the tasks that a number is of: one, or all that a mean is over."""
    if task is not None:
        return [task]
    return [
        each for each in results.tasks if _is_asked(each, filled_by) and filled_by.includes(each)
    ]


def _other_split(filled_by: FilledBy, task: TaskResult) -> Iterator[str]:
    """Yield that a task was measured on a split of another name than is published."""
    if not filled_by.splits:
        return
    split = task.facts.get("split")
    if split is None:
        yield "split not known"
    elif split not in filled_by.splits:
        yield f"split {split}, not {filled_by.splits[0]}"


def _other_sizes(filled_by: FilledBy, task: TaskResult) -> Iterator[str]:
    """Yield what a task had more or less of than the published number rests on."""
    for size in filled_by.sizes:
        fact = task.facts.get(size.fact)
        if fact is None:
            yield f"{size.words} not known"
            continue
        found = fact if isinstance(fact, int) else len(fact)
        if found != size.number:
            yield f"{size.words}: {found:,}, not {size.number:,}"
