"""Measures of a VTAB-1k task on frozen features (ALIGN §5.3), on embeddings alone.

Settings are drawn from BiT's ranges and tried on 800 images. Those that are right for most of the
200 others are trained on all 1,000, some times with other orders of the images and other dropped
features, and each head is tested once on the whole test set.

Shape suffixes:
    Q  test images
    R  runs
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Mapping
from functools import partial

import msgspec
import numpy as np

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import TASK_OF, TEST, TRAIN, VAL
from openalign.evaluate.linear.head import LinearHead, num_right
from openalign.evaluate.linear.rows import Labeled, threads
from openalign.evaluate.linear.sgd import Descent, descend
from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats, resampled_means
from openalign.evaluate.metrics.resampled import Resampled, resampled_metric
from openalign.evaluate.results import library_versions
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
from openalign.evaluate.tasks.contract import Material, Measured, Sampling, name_of
from openalign.evaluate.tasks.over_runs import deviation_over_runs
from openalign.evaluate.tasks.per_class_measures import Outcome, confused_pairs, titles_of
from openalign.evaluate.tasks.probes.head_outcomes import labeled_at, outcome_of
from openalign.evaluate.tasks.probes.vtab import (
    VtabExamples,
    VtabFacts,
    VtabProbeTask,
    VtabTrial,
    called,
)
from openalign.train.data.order import seed_at
from openalign.train.fine_tune.recipes import VTAB_BATCH_SIZE, VTAB_FALLS
from openalign.train.fine_tune.schedule import falling_factor
from openalign.train.sweep.bit import DECAY, DROPOUT, FROZEN_RANGES, LEARNING_RATE, UPDATES
from openalign.train.sweep.ledger import Ledger
from openalign.train.sweep.ranges import draw_trial
from openalign.train.sweep.trials import run_trials, usable_cores

_VERSION = 1
"""Raised when a trial ends elsewhere than before: earlier trials are not gone on from."""

_NUM_PAIRS = 4
"""Confused classes that are kept of a task: there are 19 tasks."""


def measure(
    task: VtabProbeTask, material: Material, sampling: Sampling
) -> Measured[VtabFacts, VtabExamples]:
    """Return the mean accuracy over runs, with its interval, and the standard deviation."""
    benchmark = material.benchmark
    published = TASK_OF[called(task)]
    places = [benchmark.places_of(split) for split in (TRAIN, VAL, TEST)]
    train, val, test = (labeled_at(benchmark, of_one) for of_one in places)
    both = labeled_at(benchmark, np.concatenate(places[:2]))
    num_trials, num_runs = (1, 1) if sampling.fast else (task.trials, task.runs)
    trials = sweep(
        train,
        val,
        num_trials=num_trials,
        seed=task.seed,
        work=material.work,
        num_processes=task.num_processes,
    )
    chosen = best_of(trials)
    outcomes = _run(benchmark, both, test, trials[chosen], num_runs=num_runs, seed=task.seed)
    hit_QR = np.stack([outcome.ranks.hits((1,))[:, 0] for outcome in outcomes], axis=1)
    confused = confused_pairs(titles_of(benchmark.dataset.classes), outcomes[0])[:_NUM_PAIRS]
    return Measured(
        resampled=metrics(
            f"vtab/{name_of(task)}",
            hit_QR,
            num_classes=published.num_classes,
            bootstrap=sampling.bootstrap,
        ),
        facts=VtabFacts(
            task=published.name,
            group=published.group,
            num_classes=published.num_classes,
            num_unseen_classes=published.num_classes - len(np.unique(both.label_N)),
            num_train=len(train),
            num_val=len(val),
            num_test=len(test),
            trials=tuple(trials),
            chosen=chosen,
            run_right=tuple(int(right) for right in hit_QR.sum(axis=0)),
        ),
        examples=VtabExamples(confused=tuple(confused)),
        shown=set().union(*({pair.image, pair.other} for pair in confused)),
    )


def sweep(
    train: Labeled, val: Labeled, *, num_trials: int, seed: int, work: str, num_processes: int
) -> list[VtabTrial]:
    """Return what became of each trial, in the order of their numbers."""
    ledger = Ledger(
        work,
        of={
            "version": _VERSION,
            "train": train.digest(),
            "val": val.digest(),
            "seed": seed,
            "libraries": library_versions(),
        },
        record=VtabTrial,
    )
    # Trials travel to other processes, so they hold no more rows than they need.
    small = alone(train), alone(val)
    trials = {
        f"trial-{number:04d}": partial(
            try_out, *small, draw_trial(FROZEN_RANGES, number, seed=seed), seed
        )
        for number in range(num_trials)
    }
    found = run_trials(trials, ledger, num_processes=num_processes or usable_cores())
    return list(found.values())


def alone(labeled: Labeled) -> Labeled:
    """Return the same rows without those of the benchmark that are not among them."""
    return Labeled(
        image_GD=labeled.image_GD[labeled.places_N],
        places_N=np.arange(len(labeled)),
        label_N=labeled.label_N,
        num_classes=labeled.num_classes,
    )


def try_out(train: Labeled, val: Labeled, trial: Mapping[str, float], seed: int) -> VtabTrial:
    """Return what becomes of drawn settings."""
    settings = VtabTrial(
        learning_rate=trial[LEARNING_RATE],
        updates=int(trial[UPDATES]),
        dropout=trial[DROPOUT],
        decay=trial[DECAY],
        num_right=0,
    )
    with threads(1) as on:
        head = descend(train, descent_of(settings), on, seed=seed)
        return msgspec.structs.replace(settings, num_right=num_right(head, val, on))


def descent_of(trial: VtabTrial) -> Descent:
    """Return how a head is trained with a trial's settings."""
    return Descent(
        steps=trial.updates,
        batch_size=VTAB_BATCH_SIZE,
        learning_rate=trial.learning_rate,
        factor=partial(falling_factor, VTAB_FALLS, total_steps=trial.updates),
        weight_decay=trial.decay,
        dropout=trial.dropout,
    )


def best_of(trials: list[VtabTrial]) -> int:
    """Return the place of the trial with the most right answers; of several, the first."""
    return max(range(len(trials)), key=lambda at: (trials[at].num_right, -at))


def _run(
    benchmark: EmbeddedBenchmark,
    both: Labeled,
    test: Labeled,
    trial: VtabTrial,
    *,
    num_runs: int,
    seed: int,
) -> list[Outcome]:
    """Return what each run makes of the test set."""
    with threads() as on:
        heads: list[LinearHead] = [
            descend(both, descent_of(trial), on, seed=seed_at(seed, run)) for run in range(num_runs)
        ]
        return [outcome_of(benchmark, head, test, on) for head in heads]


def metrics(
    prefix: str, hit_QR: Floats, *, num_classes: int, bootstrap: Bootstrap
) -> list[Resampled]:
    """Return the mean over runs, whose interval draws the images anew, and the runs' deviation."""
    mean_Q1 = hit_QR.mean(axis=1, keepdims=True)
    value_R1 = resampled_means(mean_Q1, np.arange(len(mean_Q1)), bootstrap)
    return [
        resampled_metric(
            f"{prefix}/top_1",
            float(mean_Q1.mean()),
            value_R1[:, 0],
            confidence=bootstrap.confidence,
            n=len(hit_QR),
            chance=1 / num_classes,
        ),
        deviation_over_runs(f"{prefix}/std_over_runs", hit_QR.mean(axis=0).tolist()),
    ]
