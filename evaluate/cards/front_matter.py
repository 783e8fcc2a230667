"""The YAML block that a card begins with, and a model card's `model-index` in it.

Texts of settings and data sets stand in it as values and can be nothing else.
"""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from openalign.evaluate.results import Metric, Results
from openalign.evaluate.tasks.contract import FinishedTask
from openalign.evaluate.tasks.kinds import KINDS, finished_tasks

_HUB_METRICS = {"top_1": "accuracy", "spearman": "spearmanr"}
"""What the hub calls a metric, by the last part of its name here; others keep that part."""


class _Dumper(yaml.SafeDumper):
    """Writes each text in one line."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # What begins with a letter means the same in YAML 1.1, which PyYAML writes, and in 1.2, which
    # the hub reads. `1e3` is a number only there.
    is_plain = text[:1].isalpha() and text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return values as YAML, in their order, each text in one line."""
    return yaml.dump(
        dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf
    )


def model_index(name: str, results: Results) -> list[dict[str, Any]]:
    """Return the `model-index` of a model card: an entry a task, with all of its metrics.

    Values are those of `results.json`; the interval, chance and the number of queries are a
    metric's `args`. What a kind measures over all of its tasks is an entry of its own.
    """
    entries = [
        _entry(
            kind_name,
            dataset=_dataset(task),
            metrics=results.under(f"{kind_name}/{task.name}"),
        )
        for kind_name, _, task in finished_tasks(results)
    ]
    entries += [
        _entry(
            kind_name,
            dataset={"name": f"all data sets of {kind_name}", "type": kind_name},
            metrics=metrics,
        )
        for kind_name, metrics in overall_metrics(results).items()
    ]
    return [{"name": name, "results": entries}]


def overall_metrics(results: Results) -> dict[str, list[Metric]]:
    """Return the metrics that are over all tasks of a kind, by the kind's name."""
    of_tasks = {f"{kind_name}/{task.name}" for kind_name, _, task in finished_tasks(results)}
    found: dict[str, list[Metric]] = {}
    for metric in results.metrics:
        kind_name, owner, _ = metric.name.split("/", 2)
        if f"{kind_name}/{owner}" not in of_tasks:
            found.setdefault(kind_name, []).append(metric)
    return found


def split_of(task: FinishedTask[Any]) -> str:
    """Return the split that a task's numbers are of; empty where they are of no one split."""
    return getattr(task.facts, "split", "")


def _entry(kind_name: str, *, dataset: Mapping[str, Any], metrics: list[Metric]) -> dict[str, Any]:
    return {
        "task": {
            "type": KINDS[kind_name].hub_task or kind_name,
            "name": kind_name.replace("_", " "),
        },
        "dataset": dict(dataset),
        "metrics": [
            {
                "type": _metric_type(metric),
                "name": metric.name,
                "value": metric.value,
                "args": {
                    "low": metric.low,
                    "high": metric.high,
                    "chance": metric.chance,
                    "n": metric.n,
                },
            }
            for metric in metrics
        ],
    }


def _dataset(task: FinishedTask[Any]) -> dict[str, Any]:
    name, results = task.benchmark, task.results
    split = split_of(task)
    return {
        "name": name,
        "type": name,
        **({"split": split} if split else {}),
        "args": {
            "kind": results.settings["benchmarks"][name]["kind"],
            "sha256": results.hashes[f"dataset/{name}"],
        },
    }


def _metric_type(metric: Metric) -> str:
    last = metric.name.rpartition("/")[2]
    return _HUB_METRICS.get(last, last)
