"""Where a number of a run comes from: its metric, its data set's hash, its task's settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openalign.evaluate.results import Metric, Results, TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedRun:
    """What a run measured, by the name that tables give it."""

    name: str
    data: str = ""
    """What its model was trained on; empty where the run does not know."""

    results: Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One number of a run with all that it depends on."""

    anchor: str
    """What links to it name."""

    run: str
    metric: Metric
    benchmark: str
    """The benchmark's name; empty for a number over several."""

    content_hash: str
    """Hash of what was read of the benchmark."""

    settings: str
    """The task's settings, as JSON."""


def anchor_of(run: int, metric: int) -> str:
    """Return the anchor of a run's metric, by the places of both."""
    return f"from-{run + 1}-{metric + 1}"


def origins_of(runs: Sequence[EvaluatedRun]) -> list[Origin]:
    """Return the origin of every number of every run."""
    return [
        _origin(run, metric, anchor_of(i, j))
        for i, run in enumerate(runs)
        for j, metric in enumerate(run.results.metrics)
    ]


def _origin(run: EvaluatedRun, metric: Metric, anchor: str) -> Origin:
    task = task_of(run.results, metric)
    benchmark = task.benchmark if task is not None else ""
    return Origin(
        anchor=anchor,
        run=run.name,
        metric=metric,
        benchmark=benchmark,
        content_hash=run.results.hashes.get(f"dataset/{benchmark}", ""),
        settings=_shown(settings_of(run.results, task)) if task is not None else "",
    )


def task_of(results: Results, metric: Metric) -> TaskResult | None:
    """Return the task that measured a metric; None for one over all tasks of a kind."""
    key = "/".join(metric.name.split("/", 2)[:2])
    return next((task for task in results.tasks if task.key == key), None)


def settings_of(results: Results, task: TaskResult) -> Mapping[str, Any]:
    """Return the settings of a task; none where the results do not have them."""
    for settings in results.settings.get("tasks", ()):
        name = settings.get("name") or settings.get("benchmark")
        if (settings.get("kind"), name) == (task.kind, task.name):
            return settings
    return {}


def _shown(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, ensure_ascii=False) if settings else ""
