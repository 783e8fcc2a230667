"""The table of task kinds: one module a kind, one line here.

Settings are made from this table, so a kind's module imports nothing heavy at its top.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Union

from openalign.errors import InputError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.kinds import kind_of as dataset_kind
from openalign.evaluate.tasks.classification import neighbors, zero_shot
from openalign.evaluate.tasks.composed import composed
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    QueryWeights,
    TaskKind,
    TaskSettings,
)
from openalign.evaluate.tasks.edits import cirr, fashion_iq
from openalign.evaluate.tasks.fine_tuning import fine_tune
from openalign.evaluate.tasks.probes import probe, vtab
from openalign.evaluate.tasks.retrieval import retrieval
from openalign.evaluate.tasks.similarity import cxc, word_similarity

KINDS: dict[str, TaskKind[Any, Any, Any]] = {
    "retrieval": retrieval.KIND,
    "zero_shot": zero_shot.KIND,
    "neighbors": neighbors.KIND,
    "probe": probe.KIND,
    "vtab": vtab.KIND,
    "fine_tune": fine_tune.KIND,
    "cxc": cxc.KIND,
    "composed": composed.KIND,
    "cirr": cirr.KIND,
    "fashion_iq": fashion_iq.KIND,
    "word_similarity": word_similarity.KIND,
}
"""In the order in which the report shows them."""

if TYPE_CHECKING:
    from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats
    from openalign.evaluate.metrics.resampled import Resampled
    from openalign.evaluate.results import Results

    AnyTask = TaskSettings
else:
    AnyTask = Union[tuple(kind.settings for kind in KINDS.values())]  # noqa: UP007


def kind_of(task: TaskSettings) -> TaskKind[Any, Any, Any]:
    """Return the kind of a task."""
    return KINDS[task.kind]


def usual_kinds(dataset: DatasetSettings) -> list[str]:
    """Return the kinds of tasks that are measured on a data set where nobody says which.

    Raises:
        InputError: the data set cannot be read.
    """
    of_data = dataset_kind(dataset)
    unlearned = [name for name in of_data.tasks if not KINDS[name].learns]
    if len(unlearned) == len(of_data.tasks):
        return unlearned
    quick = of_data.has_train
    has_train = quick(dataset) if quick is not None else of_data.read(dataset).has_train
    return list(of_data.tasks) if has_train else unlearned


def task_by_default(kind: str, benchmark: str, dataset: DatasetSettings) -> TaskSettings:
    """Return the task of a kind on a benchmark of such a data set, where nobody says more.

    Raises:
        ValueError: there is none of that name.
    """
    make = KINDS[kind].by_default
    if make is None:
        return KINDS[kind].settings(benchmark=benchmark)
    return make(benchmark, dataset)


def query_weights(tasks: Iterable[TaskSettings]) -> QueryWeights:
    """Return the weights of the first task that has some, else the paper's."""
    for task in tasks:
        weights_of = kind_of(task).query_weights
        if weights_of is not None:
            return weights_of(task)
    return QueryWeights()


def finished_tasks(
    results: "Results",
) -> list[tuple[str, TaskKind[Any, Any, Any], FinishedTask[Any]]]:
    """Return each task of a result: its kind's name, its kind, and its facts as the kind has them.

    Raises:
        InputError: a task is of a kind that is not in the table, or its facts are of another form.
    """
    from openalign.evaluate.results import as_record

    found: list[tuple[str, TaskKind[Any, Any, Any], FinishedTask[Any]]] = []
    for task in results.tasks:
        kind = KINDS.get(task.kind)
        if kind is None:
            raise InputError(
                f"results of the task `{task.name}` are of the kind `{task.kind}`",
                hint=f"kinds are: {', '.join(KINDS)}",
            )
        facts = as_record(task.facts, kind.facts, of=f"facts of the task `{task.name}`")
        finished = FinishedTask(
            name=task.name, benchmark=task.benchmark, facts=facts, results=results
        )
        found.append((task.kind, kind, finished))
    return found


def overall(
    results: "Results", resamples: "Mapping[str, Floats]", bootstrap: "Bootstrap"
) -> "list[Resampled]":
    """Return what each kind measures over all of its tasks; `resamples` are those of the tasks."""
    finished = finished_tasks(results)
    return [
        metric
        for name, kind in KINDS.items()
        for metric in kind.overall(
            [task for of_kind, _, task in finished if of_kind == name], resamples, bootstrap
        )
    ]


def headline(results: "Results") -> list[str]:
    """Return the lines that a run ends with; a kind may have none."""
    return [line for _, kind, task in finished_tasks(results) for line in kind.headline(task)]
