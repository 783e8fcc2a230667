"""Whether a metric of two runs may be compared: the same queries, measured and drawn alike.

Only then has each resample drawn the same queries for both models. What a model is, how it decodes
images and how its batches are cut may differ.
"""

from collections.abc import Iterator

from openalign.evaluate.compare.evaluation import Evaluation
from openalign.evaluate.results import TaskResult
from openalign.settings.differences import settings_that_differ

_DRAWN_BY = ("seed", "bootstrap_resamples", "fast")
"""Settings of the stage that say what is drawn, and of how many images numbers are."""


def why_not(metric: str, base: Evaluation, other: Evaluation, *, confidence: float) -> str:
    """Return why the metric of two runs has no paired difference; empty where it has one."""
    return next(_reasons(metric, base, other, confidence), "")


def _reasons(metric: str, base: Evaluation, other: Evaluation, confidence: float) -> Iterator[str]:
    """Yield what stands in the way, what explains most first."""
    for run in (base, other):
        if metric not in run.metrics:
            yield f"not measured in {run.name}"
            return
    yield from _differing_tasks(metric, base, other)
    for name in _DRAWN_BY:
        values = [run.results.settings[name] for run in (base, other)]
        if values[0] != values[1]:
            yield f"other draws ({name}: {values[0]} -> {values[1]})"
    ours, theirs = base.metrics[metric], other.metrics[metric]
    if ours.version != theirs.version:
        yield f"another definition (version {ours.version} -> {theirs.version})"
    if ours.n != theirs.n:
        yield f"other queries (n: {ours.n} -> {theirs.n})"
    if metric not in base.resamples or metric not in other.resamples:
        yield "its interval is not of resamples"
        return
    yield from _too_few(len(base.resamples[metric]), confidence)


def _differing_tasks(metric: str, base: Evaluation, other: Evaluation) -> Iterator[str]:
    tasks, theirs = ({task.key: task for task in run.tasks_of(metric)} for run in (base, other))
    if tasks.keys() != theirs.keys():
        yield f"other tasks ({', '.join(sorted(tasks.keys() ^ theirs.keys()))})"
        return
    for key, task in tasks.items():
        yield from _differing_task(task, base, theirs[key], other)


def _differing_task(
    task: TaskResult, base: Evaluation, counterpart: TaskResult, other: Evaluation
) -> Iterator[str]:
    changed = settings_that_differ(base.settings_of(task), other.settings_of(counterpart))
    if changed:
        yield f"other settings ({'; '.join(changed)})"
    if base.dataset_of(task) != other.dataset_of(counterpart):
        yield f"other data ({task.benchmark})"
    if base.read_by(task) != other.read_by(counterpart):
        yield f"other queries or texts ({task.key})"


def _too_few(num_resamples: int, confidence: float) -> Iterator[str]:
    """Refuse an interval whose ends lie outside of nearly every resample."""
    fewest = round(2.0 / (1.0 - confidence))
    if num_resamples < fewest:
        yield f"too few resamples ({num_resamples}; {100 * confidence:g} % needs {fewest})"
