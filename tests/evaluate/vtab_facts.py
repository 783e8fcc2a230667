"""Results of VTAB tasks as they stand in a result, for tests of means and of the report."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import TASK_OF, VTAB_TASKS
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.results import Metric, Results, TaskResult
from openalign.evaluate.tasks.contract import FinishedTask
from openalign.evaluate.tasks.over_runs import deviation_of
from openalign.evaluate.tasks.probes.vtab import VtabFacts, VtabTrial
from openalign.evaluate.tasks.vtab_means import metrics

ALL = [task.name for task in VTAB_TASKS]
TRIALS = (
    VtabTrial(learning_rate=0.01, updates=500, dropout=0.1, decay=1e-6, num_right=100),
    VtabTrial(learning_rate=0.1, updates=16_000, dropout=0.25, decay=0.0123, num_right=150),
)


def facts_of(name: str, shares: Sequence[float], **changes: object) -> VtabFacts:
    """Return the facts of a task whose runs are right for these shares of the test images."""
    task = TASK_OF[name]
    facts = VtabFacts(
        task=name,
        group=task.group,
        num_classes=task.num_classes,
        num_unseen_classes=0,
        num_train=800,
        num_val=200,
        num_test=1000,
        trials=TRIALS,
        chosen=1,
        run_right=tuple(round(1000 * share) for share in shares),
    )
    return msgspec.structs.replace(facts, **changes)


def finished(
    shares: Mapping[str, Sequence[float]], *, half_width: float = 0.03, names: Sequence[str] = ()
) -> list[FinishedTask[VtabFacts]]:
    """Return tasks, by the shares of their runs; each is called as VTAB does, or by `names`."""
    found = {task: facts_of(task, runs) for task, runs in shares.items()}
    called = dict(zip(found, names or found, strict=True))
    metrics: list[Metric] = []
    for task, facts in found.items():
        runs = [right / facts.num_test for right in facts.run_right]
        value = sum(runs) / len(runs)
        low, high, chance = value - half_width, value + half_width, 1 / facts.num_classes
        prefix = f"vtab/{called[task]}"
        metrics += [
            Metric(name=f"{prefix}/top_1", value=value, low=low, high=high, n=1000, chance=chance),
            Metric(
                name=f"{prefix}/std_over_runs",
                value=deviation_of(runs),
                low=0.0,
                high=0.0,
                n=len(runs),
                chance=0.0,
            ),
        ]
    results = Results(
        metrics=tuple(metrics),
        tasks=tuple(
            TaskResult(
                name=called[task],
                kind="vtab",
                benchmark=called[task],
                facts=msgspec.to_builtins(facts),
            )
            for task, facts in found.items()
        ),
        settings={"confidence": 0.95},
        libraries={},
        hashes={},
    )
    return [
        FinishedTask(name=called[task], benchmark=called[task], facts=facts, results=results)
        for task, facts in found.items()
    ]


def means(tasks: Sequence[FinishedTask[VtabFacts]]) -> list[Metric]:
    """Return what is measured over the tasks.

    The resamples of each are spread evenly over its interval, as far as every other one's.
    """
    bootstrap = Bootstrap(resamples=1001, confidence=0.95, seed=0)
    tops = {
        top.name: top
        for task in tasks
        for top in task.results.metrics
        if top.name.endswith("/top_1")
    }
    resamples = {
        name: np.linspace(top.low, top.high, bootstrap.resamples) for name, top in tops.items()
    }
    return [found.metric for found in metrics("vtab", tasks, resamples, bootstrap)]
