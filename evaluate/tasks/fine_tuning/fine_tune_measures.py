"""Trains by a recipe, and measures what the runs say of the test images.

Shape suffixes:
    Q  test images
    R  runs
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from openalign.evaluate.drawing.sampling import sample
from openalign.evaluate.metrics.bootstrap import Ints, class_mean
from openalign.evaluate.tasks.contract import (
    Material,
    Measured,
    Sampling,
    TrainingMaterial,
    TrainingTerms,
    name_of,
)
from openalign.evaluate.tasks.fine_tuning.fine_tune import (
    FineTuneFacts,
    FineTuneRun,
    FineTuneStage,
    FineTuneTask,
    FineTuneTrial,
    splits_of,
    vtab_task_of,
)
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
    StageOutcome,
    TowerRun,
    check_blocks,
    outcomes_of,
    places_in,
)
from openalign.train.config import Duration
from openalign.train.data.order import seed_at
from openalign.train.fine_tune.recipes import Recipe, VtabRecipe, vtab_recipe
from openalign.train.fine_tune.tower import check_sides
from openalign.train.sweep.ranges import draw_trial

_FAST_STEPS = 2
"""Steps of each stage in a fast run."""


def check_training(task: FineTuneTask, terms: TrainingTerms) -> None:
    """Check every stage that may be trained: for VTAB those of the trials, on both sets of images.

    Raises:
        ConfigError: a batch cannot be cut into blocks, or has fewer than there are processes.
        InputError: the model's tower cannot take crops of a side.
    """
    recipe, train_splits = task.recipe, splits_of(task, terms.dataset)[1]
    stages: Sequence[Recipe] = ()
    trained_on = [train_splits]
    if isinstance(recipe, VtabRecipe):
        drawn = _drawn(task, recipe, fast=terms.fast)
        stages = [vtab_recipe(settings, batch_size=recipe.batch_size) for settings in drawn]
        trained_on = [train_splits[:-1], train_splits]
    else:
        stages = recipe.stages
    for splits in trained_on:
        num_images = sum(image.split in splits for image in terms.dataset.images)
        for stage in stages:
            check_blocks(
                stage, task.engine, num_images=num_images, num_processes=terms.num_processes
            )
    sides_px = {side for stage in stages for side in (stage.train_px, stage.eval_px)}
    check_sides(terms.model, sorted(sides_px))


class Learned(NamedTuple):
    """What came of a task's trainings."""

    stages: Sequence[Recipe]
    """Of each run."""

    runs: Sequence[RunOutcome]
    trials: Sequence[FineTuneTrial] = ()
    chosen: int = 0


def train(task: FineTuneTask, material: TrainingMaterial) -> Learned:
    """Return what came of each run of the recipe; all ranks must call this."""
    recipe = task.recipe
    if not isinstance(recipe, VtabRecipe):
        stages = quick(recipe.stages, fast=material.fast)
        return Learned(stages, _runs(task, material, stages))
    trials = _sweep(task, recipe, material)
    chosen = max(range(len(trials)), key=lambda at: (trials[at].num_right, -at))
    best = vtab_recipe(trials[chosen].settings, batch_size=recipe.batch_size)
    stages = quick((best,), fast=material.fast)
    return Learned(stages, _runs(task, material, stages), trials, chosen)


def _runs(
    task: FineTuneTask, material: TrainingMaterial, stages: Sequence[Recipe]
) -> list[RunOutcome]:
    split, train_splits = splits_of(task, material.dataset)
    num_runs = 1 if material.fast else task.recipe.runs
    return outcomes_of(
        material,
        [
            TowerRun(
                name=f"run-{number}",
                words=f"evaluate  fine_tune/{name_of(task)}, run {number} of {num_runs}",
                stages=stages,
                engine=task.engine,
                seed=_seed_of_run(task, number),
                trained_on=places_in(material, *train_splits),
                tested_on=places_in(material, split),
            )
            for number in range(1, num_runs + 1)
        ],
    )


def _sweep(
    task: FineTuneTask, recipe: VtabRecipe, material: TrainingMaterial
) -> list[FineTuneTrial]:
    """Return what became of each trial; a training that diverges is right for nothing."""
    *train_splits, validation_split = splits_of(task, material.dataset)[1]
    drawn = _drawn(task, recipe, fast=material.fast)
    seed = _seed_of_run(task, 0)  # one for all trials: they differ in their settings alone
    outcomes = outcomes_of(
        material,
        [
            TowerRun(
                name=f"trial-{number}",
                words=f"evaluate  fine_tune/{name_of(task)}, trial {number} of {len(drawn)}",
                stages=quick(
                    (vtab_recipe(settings, batch_size=recipe.batch_size),), fast=material.fast
                ),
                engine=task.engine,
                seed=seed,
                trained_on=places_in(material, *train_splits),
                tested_on=places_in(material, validation_split),
                may_diverge=True,
            )
            for number, settings in enumerate(drawn, start=1)
        ],
    )
    return [
        FineTuneTrial(
            settings=settings,
            num_right=outcome.num_right,
            seed=seed,
            num_skipped=sum(stage.num_skipped for stage in outcome.stages),
            diverged=not outcome.stages,
        )
        for settings, outcome in zip(drawn, outcomes, strict=True)
    ]


def _seed_of_run(task: FineTuneTask, number: int) -> int:
    return seed_at(task.seed, number)


def _drawn(task: FineTuneTask, recipe: VtabRecipe, *, fast: bool) -> list[dict[str, float]]:
    """Return the settings of each trial."""
    num_trials = 1 if fast else recipe.trials
    return [draw_trial(recipe.ranges, number, seed=task.seed) for number in range(num_trials)]


def quick(stages: Sequence[Recipe], *, fast: bool) -> Sequence[Recipe]:
    """Return the stages, in a fast run with few steps each."""
    if not fast:
        return stages
    return [replace(stage, duration=Duration(steps=_FAST_STEPS)) for stage in stages]


def measure(
    task: FineTuneTask, material: Material, sampling: Sampling
) -> Measured[FineTuneFacts, ClassifiedExamples]:
    """Return the means over runs, with examples of the first."""
    benchmark, learned = material.benchmark, cast("Learned", material.trained)
    runs = learned.runs
    split, train_splits = splits_of(task, benchmark.dataset)
    places = benchmark.places_of(split)
    trained_on = np.concatenate([benchmark.places_of(name) for name in train_splits])
    label_Q, num_classes = benchmark.labels[places], len(benchmark.dataset.classes)
    heads, lasts = ([run.stages[at].ranks for run in runs] for at in (0, -1))
    prefix = f"fine_tune/{name_of(task)}"
    metrics = accuracy_over_runs(
        prefix, lasts, label_Q, num_classes=num_classes, bootstrap=sampling.bootstrap
    )
    right_R = [run.num_right for run in runs]
    metrics.append(
        deviation_over_runs(f"{prefix}/std_over_runs", [right / len(places) for right in right_R])
    )
    if len(learned.stages) > 1:
        head, *_ = accuracy_over_runs(
            prefix, heads, label_Q, num_classes=num_classes, bootstrap=sampling.bootstrap
        )
        metrics.append(named(head, f"{prefix}/head_top_1"))
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
    return Measured(
        resampled=metrics,
        facts=FineTuneFacts(
            split=split,
            train_splits=train_splits,
            num_images=len(places),
            num_train_images=len(trained_on),
            num_classes=num_classes,
            num_unseen_classes=num_classes - len(np.unique(benchmark.labels[trained_on])),
            recipe=task.recipe.kind,
            steps=tuple(stage.steps for stage in runs[0].stages),
            num_skipped=sum(stage.num_skipped for run in runs for stage in run.stages),
            batch_size=last.batch_size,
            train_px=tuple(stage.train_px for stage in learned.stages),
            eval_px=tuple(stage.eval_px for stage in learned.stages),
            run_right=tuple(right_R),
            trials=tuple(learned.trials),
            num_val_images=len(benchmark.places_of(train_splits[-1])) if learned.trials else 0,
            chosen=learned.chosen,
            runs=tuple(
                FineTuneRun(
                    seed=_seed_of_run(task, number),
                    stages=tuple(_came_of(stage, label_Q) for stage in run.stages),
                )
                for number, run in enumerate(runs, start=1)
            ),
            task=vtab_task_of(task, num_classes=num_classes),
        ),
        examples=examples,
        shown=shown_by_classes(examples),
    )


def _came_of(stage: StageOutcome, label_Q: Ints) -> FineTuneStage:
    return FineTuneStage(
        steps=stage.steps,
        num_skipped=stage.num_skipped,
        num_right=stage.num_right,
        mean_per_class=class_mean(stage.ranks.hits((1,))[:, 0], label_Q),
    )
