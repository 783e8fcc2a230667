"""The model card: what was trained on what, every number with its protocol, limits, and use."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openalign.evaluate import results
from openalign.evaluate.cards.front_matter import (
    model_index,
    overall_metrics,
    split_of,
    to_yaml,
)
from openalign.evaluate.cards.rendering import write_card
from openalign.evaluate.results import Metric, Results
from openalign.evaluate.tasks.contract import FinishedTask, TaskKind
from openalign.evaluate.tasks.kinds import finished_tasks
from openalign.files import storage
from openalign.files.facts import HELD_OUT, TrainFacts, counts_by
from openalign.files.manifest import DataFile, Manifest
from openalign.files.names import MODEL_CARD, RESULTS_FILE

_LARGE = 1000
"""Numbers from here on, such as a median rank, are shown with their thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMetric:
    """A metric as the card's tables show it, in the units of `results.json`."""

    name: str
    value: str
    interval: str
    chance: str
    n: int
    ties: str
    """The value under a random order of ties; empty where that is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTask:
    """A task, or what a kind measured over all of its tasks."""

    title: str
    protocol: str
    page: str
    metrics: Sequence[ShownMetric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is known of the run that trained the model."""

    facts: TrainFacts
    num_pairs: int
    num_drawn: int
    """Pairs that were drawn at least once."""

    settings: str
    """As indented JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything that the template shows."""

    title: str
    training: Training | None
    """None for a checkpoint that was measured and not trained here."""

    tasks: Sequence[ShownTask]
    left_out: Sequence[str]
    """A sentence for each benchmark of which images were missing or cannot be decoded."""

    results: Results
    recipe: str
    """A pipeline that measures the same, as YAML; it lacks where things lie."""

    credits: Sequence[str]


def write(
    *,
    evaluated: str,
    train: Manifest | None,
    output: str,
    title: str,
    license: str,  # noqa: A002  # the name of the setting
    credits: Sequence[str],  # noqa: A002  # likewise
) -> DataFile:
    """Write the card of the model whose results lie in the folder `evaluated`.

    `train` is the manifest of the run that trained it, where this run did.
    """
    found = results.read(storage.join(evaluated, RESULTS_FILE))
    card = ModelCard(
        title=title,
        training=None if train is None else _training(train),
        tasks=_tasks(found),
        left_out=[
            f"Images of {name} that were left out: {counts_by(_states(found, name))}"
            for name in found.left_out
        ],
        results=found,
        recipe=to_yaml(_recipe(found)),
        credits=credits,
    )
    return write_card(output, MODEL_CARD, metadata=_metadata(found, title, license), card=card)


def _metadata(found: Results, title: str, license_id: str) -> dict[str, Any]:
    return {
        "library_name": "transformers",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["align", "dual-encoder", "image-text-retrieval", "openalign"],
        **({"license": license_id} if license_id else {}),
        "model-index": model_index(title, found),
    }


def _training(train: Manifest) -> Training:
    return Training(
        facts=train.facts_as(TrainFacts),
        num_pairs=train.num_inputs - train.states.get(HELD_OUT, 0),
        num_drawn=train.num_outputs,
        settings=json.dumps(train.settings.get("settings"), indent=2, ensure_ascii=False),
    )


def _tasks(found: Results) -> list[ShownTask]:
    shown = [_task(name, kind, task) for name, kind, task in finished_tasks(found)]
    shown += [
        ShownTask(
            title=f"{name.replace('_', ' ')} over all of its data sets",
            protocol="Means over the tasks above.",
            page="",
            metrics=[_metric(metric, f"{name}/") for metric in metrics],
        )
        for name, metrics in overall_metrics(found).items()
    ]
    return shown


def _task(kind_name: str, kind: TaskKind[Any, Any, Any], task: FinishedTask[Any]) -> ShownTask:
    prefix = f"{kind_name}/{task.name}"
    split = split_of(task)
    title = f"{kind_name.replace('_', ' ')} on {task.benchmark}"
    if split:
        title += f", split {split}"
    if task.name != task.benchmark:
        title += f" ({task.name})"
    return ShownTask(
        title=title,
        protocol=kind.protocol(task),
        page=kind.page,
        metrics=[_metric(metric, f"{prefix}/") for metric in task.results.under(prefix)],
    )


def _metric(metric: Metric, prefix: str) -> ShownMetric:
    ties = metric.ties_at_random
    return ShownMetric(
        name=metric.name.removeprefix(prefix),
        value=_number(metric.value),
        interval=f"{_number(metric.low)} to {_number(metric.high)}",
        chance=_number(metric.chance),
        n=metric.n,
        ties="" if ties is None else _number(ties),
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < _LARGE else f"{value:,.1f}"


def _states(found: Results, benchmark: str) -> Mapping[str, int]:
    states = [image.state for image in found.left_out[benchmark]]
    return {state: states.count(state) for state in dict.fromkeys(states)}


def _recipe(found: Results) -> dict[str, Any]:
    """Return the settings of the results as a pipeline."""
    settings = dict(found.settings)
    benchmarks = settings.pop("benchmarks")
    return {"again": {"benchmarks": benchmarks, "evaluate": {"model": "FOLDER", **settings}}}
