"""Means over VTAB's tasks: over all 19, and over each group, where every task of it was measured.

Of each kind that measures these tasks, by itself: names are <kind>/all/<mean or a group>, and _std.

"All" is the mean over tasks, not over groups, as in the paper (Table 6) and in VTAB. A set of tasks
that is incomplete has no mean: it would be comparable with nothing.

Shape suffixes:
    R  resamples
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import VTAB_TASKS
from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.tasks.contract import OVERALL, FinishedTask
from openalign.evaluate.tasks.over_runs import deviation_over_runs

MEAN = "mean"
SETS = {
    MEAN: "all 19",
    "natural": "natural",
    "specialized": "specialized",
    "structured": "structured",
}
"""What means are taken over, each with its words."""


class VtabFactsLike(Protocol):
    """What a kind's facts say of one of the 19 tasks."""

    @property
    def task(self) -> str:
        """VTAB's name for it; empty for what is none of them."""
        ...

    @property
    def run_right(self) -> Sequence[int]:
        """Test images that each run is right for."""
        ...

    @property
    def num_test(self) -> int:
        """Test images."""
        ...


F = TypeVar("F", bound=VtabFactsLike)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSet(Generic[F]):
    """Some of the 19 tasks, and which of them were measured."""

    name: str
    size: int
    measured: Sequence[FinishedTask[F]]
    missing: Sequence[str]
    """Titles of the tasks that were not measured."""

    twice: Sequence[str]
    """Titles of those that were measured more than once."""

    @property
    def is_complete(self) -> bool:
        """Whether each of its tasks was measured once."""
        return not self.missing and not self.twice


def task_sets(tasks: Sequence[FinishedTask[F]]) -> list[TaskSet[F]]:
    """Return all 19 tasks, and those of each group."""
    often = Counter(task.facts.task for task in tasks)
    found: list[TaskSet[F]] = []
    for name in SETS:
        members = [each for each in VTAB_TASKS if name in (MEAN, each.group)]
        names = {each.name for each in members}
        found.append(
            TaskSet(
                name=name,
                size=len(members),
                measured=[task for task in tasks if task.facts.task in names],
                missing=[each.title for each in members if not often[each.name]],
                twice=[each.title for each in members if often[each.name] > 1],
            )
        )
    return found


def metrics(
    kind: str,
    tasks: Sequence[FinishedTask[F]],
    resamples: Mapping[str, Floats],
    bootstrap: Bootstrap,
) -> list[Resampled]:
    """Return the mean of each complete set, and the deviation of that mean over runs.

    `resamples` are the tasks' own, by the names of metrics.
    """
    return [
        metric
        for each in task_sets(tasks)
        if each.is_complete
        for metric in _metrics_of(kind, each, resamples, bootstrap)
    ]


def _metrics_of(
    kind: str, tasks: TaskSet[F], resamples: Mapping[str, Floats], bootstrap: Bootstrap
) -> list[Resampled]:
    tops = [task.results.metric(f"{kind}/{task.name}/top_1") for task in tasks.measured]
    mean = resampled_metric(
        f"{kind}/{OVERALL}/{tasks.name}",
        statistics.fmean(top.value for top in tops),
        np.mean(
            [
                _shuffled(task.facts.task, resamples[top.name], bootstrap.seed)
                for task, top in zip(tasks.measured, tops, strict=True)
            ],
            axis=0,
        ),
        confidence=bootstrap.confidence,
        n=len(tops),
        chance=statistics.fmean(top.chance for top in tops),
    )
    runs = means_of_runs([task.facts for task in tasks.measured])
    if runs is None:
        return [mean]
    return [mean, deviation_over_runs(f"{mean.metric.name}_std", runs)]


def _shuffled(task: str, value_R: Floats, seed: int) -> Floats:
    """Return a task's resamples in an order of its own, which is that of every model.

    The test images of tasks are different images, so their errors add up as independent ones do.
    In the order in which they were drawn they do not: the same seed drew the same places.
    """
    number = next(at for at, each in enumerate(VTAB_TASKS) if each.name == task)
    random = np.random.Generator(np.random.PCG64([seed, number]))
    shuffled_R: Floats = random.permutation(value_R)
    return shuffled_R


def means_of_runs(facts: Sequence[VtabFactsLike]) -> list[float] | None:
    """Return the mean over tasks of each run, the first of each task with the first of every other.

    None where tasks have different numbers of runs, which cannot be paired.
    """
    if len({len(each.run_right) for each in facts}) != 1:
        return None
    by_task = [[right / each.num_test for right in each.run_right] for each in facts]
    return [statistics.fmean(of_run) for of_run in zip(*by_task, strict=True)]
