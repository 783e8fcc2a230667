"""What the report shows of fine-tuning: numbers, images and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.results import Results, as_record
from openalign.evaluate.tasks.contract import FinishedTask, with_noun
from openalign.evaluate.tasks.fine_tuning.fine_tune import FineTuneFacts, FineTuneRun, FineTuneTrial
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.evaluate.tasks.per_class_section import (
    ClassTable,
    ShownImages,
    ShownPair,
    beside_most_frequent,
    class_table,
    opening_of,
    show_images,
    show_pairs,
)
from openalign.evaluate.tasks.vtab_means_section import ShownMean, means_of
from openalign.pages import charts
from openalign.train.sweep.bit import LEARNING_RATE

_NOT_SHARES = ("std_over_runs",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTrial:
    """Settings that were tried, and how they fared."""

    number: int
    """In the order in which they were drawn, from 1."""

    settings: str
    share: str
    """Of the images that chose, in percent."""

    note: str
    """What is not as it should be; empty where all is, or where nothing was noted."""

    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """A run by itself."""

    seed: str
    stages: Sequence[tuple[str, str, str]]
    """Of each stage the share of test images that are right, the mean over classes, both in
    percent, and what is not as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneSection:
    """A task's numbers and examples."""

    name: str
    facts: FineTuneFacts
    opening: Sequence[tuple[str, Number]]
    numbers: Mapping[str, Number]
    """By the last part of the metric's name; a set of few classes has no top-5."""

    deviation: str
    """Over runs, in points."""

    how: str
    """How the network was trained, in words."""

    runs: Sequence[ShownRun]
    trials: Sequence[ShownTrial]
    """The best first."""

    chart: str
    """The trials by their learning rates; empty where none were tried."""

    why: str
    """Why the settings are those of one trial; empty where none were tried."""

    means: Sequence[ShownMean]
    """Over VTAB's tasks of all tasks in the result, the same for each; none where none is VTAB's.
    """

    pairs: Sequence[ShownPair]
    images: ShownImages
    classes: ClassTable


def section(
    task: FinishedTask[FineTuneFacts], examples: ClassifiedExamples, tiles: Tiles
) -> FineTuneSection:
    """Return what the template shows of one task."""
    facts, prefix = task.facts, f"fine_tune/{task.name}"
    parts = {m.name.rpartition("/")[2]: m for m in task.results.under(prefix)}
    shares = {name: share_number(m) for name, m in parts.items() if name not in _NOT_SHARES}
    numbers = beside_most_frequent(shares, examples.classes)
    of_vtab = _of_vtab(task.results)
    means = means_of("fine_tune", of_vtab, task.results) if of_vtab else []
    opening = opening_of("fine-tuned", numbers)
    if facts.task and means[0].number is not None:
        # A page opens with the means of a whole VTAB, once; single tasks would fill it.
        opening = _opening(means) if of_vtab[0].name == task.name else []
    return FineTuneSection(
        name=task.name,
        facts=facts,
        opening=opening,
        numbers=numbers,
        deviation=percent(parts["std_over_runs"].value),
        how=how_trained(facts),
        runs=[_shown_run(run, facts.num_images) for run in facts.runs],
        trials=_shown_trials(facts),
        chart=_chart(facts) if facts.trials else "",
        why=why_chosen(facts) if facts.trials else "",
        means=means,
        pairs=show_pairs(examples.confused, tiles),
        images=show_images(examples.images, tiles, facts.num_classes),
        classes=class_table(examples.classes),
    )


def how_trained(facts: FineTuneFacts) -> str:
    """Return how the network was trained, in a few words."""
    stages = ", then ".join(
        f"{steps:,} steps at {train_px}/{eval_px} px"
        for steps, train_px, eval_px in zip(facts.steps, facts.train_px, facts.eval_px, strict=True)
    )
    runs = with_noun(len(facts.run_right), "run")
    if facts.trials:
        best = facts.trials[facts.chosen]
        stages = (
            f"the best of {with_noun(len(facts.trials), 'trial')}, right for "
            f"{percent(best.num_right / facts.num_val_images)} percent of "
            f"{facts.num_val_images:,} images ({_settings(best)}): {stages}"
        )
    if facts.num_skipped:
        runs += f"; {with_noun(facts.num_skipped, 'step')} changed nothing: not finite"
    return f"{facts.recipe}: {stages}; {facts.batch_size:,} images a step; {runs}"


def why_chosen(facts: FineTuneFacts) -> str:
    """Return in a sentence or two why the settings are those of one trial."""
    best, num_val = facts.trials[facts.chosen], facts.num_val_images
    equal = sum(trial.num_right == best.num_right for trial in facts.trials) - 1
    diverged = sum(trial.diverged is True for trial in facts.trials)
    others = f", as {with_noun(equal, 'other')} drawn after it" if equal else ""
    lost = f" {with_noun(diverged, 'trial')} diverged." if diverged else ""
    return (
        f"Trial {facts.chosen + 1} of {len(facts.trials):,} was chosen: {best.num_right:,} of "
        f"{num_val:,} images right{others}.{lost}"
    )


def _settings(trial: FineTuneTrial) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in trial.settings.items())


def _shown_trials(facts: FineTuneFacts) -> list[ShownTrial]:
    """Return the trials, the best first; of several, the one that was drawn first."""
    drawn = list(enumerate(facts.trials))
    return [
        ShownTrial(
            number=at + 1,
            settings=_settings(trial),
            share=percent(trial.num_right / facts.num_val_images),
            note="diverged" if trial.diverged else _skipped(trial.num_skipped),
            is_chosen=at == facts.chosen,
        )
        for at, trial in sorted(drawn, key=lambda each: (-each[1].num_right, each[0]))
    ]


def _shown_run(run: FineTuneRun, num_images: int) -> ShownRun:
    return ShownRun(
        seed=str(run.seed),
        stages=[
            (
                percent(stage.num_right / num_images),
                percent(stage.mean_per_class),
                _skipped(stage.num_skipped),
            )
            for stage in run.stages
        ],
    )


def _skipped(num_skipped: int | None) -> str:
    return f"{with_noun(num_skipped, 'step')} not finite" if num_skipped else ""


def _chart(facts: FineTuneFacts) -> str:
    dots = [
        charts.Dot(
            x=trial.settings[LEARNING_RATE],
            share=trial.num_right / facts.num_val_images,
            words=f"{percent(trial.num_right / facts.num_val_images)} percent: {_settings(trial)}",
        )
        for trial in facts.trials
    ]
    label = f"Percent right of each trial, by its learning rate. {why_chosen(facts)}"
    return charts.sweep_chart(dots, chosen=facts.chosen, label=label, unit="learning rate")


def _opening(means: Sequence[ShownMean]) -> list[tuple[str, Number]]:
    return [
        (f"VTAB-1k fine-tuned, {mean.words}", mean.number)
        for mean in means
        if mean.number is not None
    ]


def _of_vtab(results: Results) -> list[FinishedTask[FineTuneFacts]]:
    """Return the tasks of the kind in a result that are VTAB's."""
    found = [
        FinishedTask(
            name=task.name,
            benchmark=task.benchmark,
            facts=as_record(task.facts, FineTuneFacts, of=f"facts of the task `{task.name}`"),
            results=results,
        )
        for task in results.tasks
        if task.kind == "fine_tune"
    ]
    return [task for task in found if task.facts.task]
