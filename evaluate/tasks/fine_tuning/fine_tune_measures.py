"""Trains by a recipe, and measures what the runs say of the test images.

Shape suffixes:
    Q  test images
    R  runs
"""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from openalign.evaluate.drawing.sampling import sample
from openalign.evaluate.tasks.contract import (
    Material,
    Measured,
    Sampling,
    TrainingMaterial,
    name_of,
)
from openalign.evaluate.tasks.fine_tuning.fine_tune import FineTuneFacts, FineTuneTask, splits_of
from openalign.evaluate.tasks.over_runs import accuracy_over_runs, deviation_over_runs, named
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.evaluate.tasks.per_class_measures import (
    Outcome,
    classified_examples,
    shown_by_classes,
    titles_of,
)
from openalign.evaluate.tasks.tower_training import (
    RunOutcome,
    TowerRun,
    outcomes_of,
    places_in,
)
from openalign.train.config import Duration
from openalign.train.data.order import seed_at
from openalign.train.fine_tune.recipes import Recipe

_FAST_STEPS = 2
"""Steps of each stage in a fast run."""


def train(task: FineTuneTask, material: TrainingMaterial) -> list[RunOutcome]:
    """Return what came of each run of the recipe; all ranks must call this."""
    split, train_splits = splits_of(task, material.dataset)
    num_runs = 1 if material.fast else task.recipe.runs
    return outcomes_of(
        material,
        [
            TowerRun(
                name=f"run-{number}",
                words=f"evaluate  fine_tune/{name_of(task)}, run {number} of {num_runs}",
                stages=stages_of(task, fast=material.fast),
                engine=task.engine,
                seed=seed_at(task.seed, number),
                trained_on=places_in(material, *train_splits),
                tested_on=places_in(material, split),
            )
            for number in range(1, num_runs + 1)
        ],
    )


def stages_of(task: FineTuneTask, *, fast: bool) -> Sequence[Recipe]:
    """Return the stages of a task's recipe."""
    if not fast:
        return task.recipe.stages
    return [replace(stage, duration=Duration(steps=_FAST_STEPS)) for stage in task.recipe.stages]


def measure(
    task: FineTuneTask, material: Material, sampling: Sampling
) -> Measured[FineTuneFacts, ClassifiedExamples]:
    """Return the means over runs, with examples of the first."""
    benchmark, runs = material.benchmark, cast("list[RunOutcome]", material.trained)
    split, train_splits = splits_of(task, benchmark.dataset)
    places = benchmark.places_of(split)
    trained_on = np.concatenate([benchmark.places_of(name) for name in train_splits])
    label_Q, num_classes = benchmark.labels[places], len(benchmark.dataset.classes)
    heads, lasts = ([run.stages[at].ranks for run in runs] for at in (0, -1))
    prefix = f"fine_tune/{name_of(task)}"
    head = accuracy_over_runs(
        prefix, heads, label_Q, num_classes=num_classes, bootstrap=sampling.bootstrap
    )[0]
    last = runs[0].stages[-1]
    outcome = Outcome(
        name_Q=[benchmark.images[at].name for at in places],
        label_Q=label_Q,
        ranks=last.ranks,
        wrong_Q=np.array(last.wrong, dtype=np.int64),
    )
    shown = sample(outcome.name_Q, sampling.num_examples)
    examples = classified_examples(
        titles_of(benchmark.dataset.classes), outcome, shown, [last.first[at] for at in shown]
    )
    stages = stages_of(task, fast=sampling.fast)
    right_R = [run.stages[-1].num_right for run in runs]
    return Measured(
        resampled=[
            *accuracy_over_runs(
                prefix, lasts, label_Q, num_classes=num_classes, bootstrap=sampling.bootstrap
            ),
            deviation_over_runs(prefix, [right / len(places) for right in right_R]),
            named(head, f"{prefix}/head_top_1"),
        ],
        facts=FineTuneFacts(
            split=split,
            train_splits=train_splits,
            num_images=len(places),
            num_train_images=len(trained_on),
            num_classes=num_classes,
            num_unseen_classes=num_classes - len(np.unique(benchmark.labels[trained_on])),
            recipe=task.recipe.kind,
            steps=tuple(stage.steps for stage in runs[0].stages),
            batch_size=last.batch_size,
            train_px=tuple(stage.train_px for stage in stages),
            eval_px=tuple(stage.eval_px for stage in stages),
            run_right=tuple(right_R),
        ),
        examples=examples,
        shown=shown_by_classes(examples),
    )
