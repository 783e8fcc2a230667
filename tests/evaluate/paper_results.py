"""Results of runs that measured the paper's benchmarks, with numbers that a test chooses."""

from collections.abc import Mapping, Sequence
from typing import Any

from openalign.evaluate.results import Metric, Results, TaskResult
from openalign.evaluate.tables.contract import FilledBy
from openalign.evaluate.tables.origins import EvaluatedRun
from openalign.evaluate.tables.paper import TABLES
from openalign.settings.fields import identity
from openalign.train.fine_tune.recipes import FineGrainedRecipe, ImageNetRecipe

RECIPES = {recipe.kind: recipe for recipe in (ImageNetRecipe(), FineGrainedRecipe())}
SPLIT_OF = {"imagenet": "val"}


def metric(name: str, value: float, *, half: float = 0.01, n: int = 100, **other: Any) -> Metric:
    """Return a metric whose interval reaches `half` to each side."""
    low, high = value - half, value + half
    return Metric(name=name, value=value, low=low, high=high, n=n, chance=0.0, **other)


def task(kind: str, benchmark: str, *, name: str = "", **facts: Any) -> TaskResult:
    """Return a task that was measured on a benchmark."""
    whole = {"split": SPLIT_OF.get(benchmark, "test"), **facts}
    return TaskResult(name=name or benchmark, kind=kind, benchmark=benchmark, facts=whole)


def run_of(
    name: str,
    tasks: Sequence[TaskResult],
    metrics: Sequence[Metric],
    *,
    settings: Mapping[str, Any] | None = None,
) -> EvaluatedRun:
    """Return a run with these tasks and numbers."""
    asked = [{"kind": each.kind, "benchmark": each.benchmark, "name": ""} for each in tasks]
    results = Results(
        metrics=tuple(metrics),
        tasks=tuple(tasks),
        settings={"tasks": asked, "confidence": 0.95, **(settings or {})},
        libraries={"openalign": "0.1.0"},
        hashes={"weights": "w" * 64, **{f"dataset/{each.benchmark}": "d" * 64 for each in tasks}},
    )
    return EvaluatedRun(name=name, results=results)


def whole_run(name: str, *, value: float = 0.5, half: float = 0.01) -> EvaluatedRun:
    """Return a run that has a number in every column that tasks fill, by the paper's protocol."""
    tasks: dict[str, TaskResult] = {}
    metrics: dict[str, Metric] = {}
    for filled_by in _columns():
        key = f"{filled_by.kind}/all"
        if filled_by.benchmarks:
            facts: dict[str, Any] = {size.fact: size.number for size in filled_by.sizes}
            recipe = {"recipe": filled_by.recipe} if filled_by.recipe else {}
            each = task(filled_by.kind, filled_by.benchmarks[0], **facts, **recipe)
            tasks[each.key], key = each, each.key
        full_name = f"{key}/{filled_by.metric}"
        metrics[full_name] = metric(full_name, value, half=half, n=filled_by.num_queries or 1_000)
    asked = [
        {"kind": each.kind, "benchmark": each.benchmark, "name": "", **_recipe_of(each)}
        for each in tasks.values()
    ]
    return run_of(name, list(tasks.values()), list(metrics.values()), settings={"tasks": asked})


def _recipe_of(task: TaskResult) -> dict[str, Any]:
    kind = task.facts.get("recipe")
    return {} if kind is None else {"recipe": identity(RECIPES[kind])}


def _columns() -> list[FilledBy]:
    return [
        filled_by
        for table in TABLES
        for sort in table.our_rows
        for filled_by in sort.filled_by
        if filled_by is not None
    ]
