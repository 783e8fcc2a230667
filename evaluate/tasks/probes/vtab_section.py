"""What the report shows of VTAB-1k: means, every task, and every sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.datasets.labels.vtab.vtab_tasks import TASK_OF, VTAB_TASKS
from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.results import Results, as_record
from openalign.evaluate.tasks.contract import FinishedTask, with_noun
from openalign.evaluate.tasks.per_class_section import ShownPair, show_pairs
from openalign.evaluate.tasks.probes.vtab import VtabExamples, VtabFacts, VtabTrial
from openalign.evaluate.tasks.vtab_means_section import ShownMean, means_of
from openalign.pages import charts


@dataclass(frozen=True, slots=True, kw_only=True)
class VtabSection:
    """A task's numbers and its sweep."""

    name: str
    title: str
    facts: VtabFacts
    opening: Sequence[tuple[str, Number]]
    number: Number
    deviation: str
    order: int
    """Place among the 19."""

    chart: str
    sweep: str
    """The sweep in words."""

    note: str
    """What is not as published; empty where all is."""

    pairs: Sequence[ShownPair]
    means: Sequence[ShownMean]
    """Over all tasks of the run: the same for each of them."""


def section(task: FinishedTask[VtabFacts], examples: VtabExamples, tiles: Tiles) -> VtabSection:
    """Return what the template shows of one task."""
    facts, prefix = task.facts, f"vtab/{task.name}"
    number = share_number(task.results.metric(f"{prefix}/top_1"))
    measured = _measured(task.results)
    means = means_of("vtab", measured, task.results)
    is_first = measured[0].name == task.name
    return VtabSection(
        name=task.name,
        title=TASK_OF[facts.task].title,
        facts=facts,
        # A page opens with the means of a whole VTAB, once; single tasks would fill it.
        opening=_opening(means) if means[0].number is not None and is_first else [],
        number=number,
        deviation=percent(task.results.metric(f"{prefix}/std_over_runs").value),
        order=VTAB_TASKS.index(TASK_OF[facts.task]),
        chart=_chart(facts),
        sweep=sweep_in_words(facts),
        note=_note(facts),
        pairs=show_pairs(examples.confused, tiles),
        means=means,
    )


def sweep_in_words(facts: VtabFacts) -> str:
    """Return what was tried, and what was best."""
    best = facts.trials[facts.chosen]
    return (
        f"{with_noun(len(facts.trials), 'trial')} on {facts.num_train:,} images, judged by "
        f"{facts.num_val:,}. The best had {percent(best.num_right / facts.num_val)} percent "
        f"right: {_settings(best)}."
    )


def _settings(trial: VtabTrial) -> str:
    return (
        f"learning rate {trial.learning_rate:.2g}, {trial.updates:,} updates, dropout "
        f"{trial.dropout:.2f}, decay {trial.decay:.2g}"
    )


def _chart(facts: VtabFacts) -> str:
    dots = [
        charts.Dot(
            x=trial.learning_rate,
            share=trial.num_right / facts.num_val,
            words=f"{percent(trial.num_right / facts.num_val)} percent: {_settings(trial)}",
        )
        for trial in facts.trials
    ]
    label = f"Percent right of each trial, by its learning rate. {sweep_in_words(facts)}"
    return charts.sweep_chart(dots, chosen=facts.chosen, label=label, unit="learning rate")


def _note(facts: VtabFacts) -> str:
    notes: list[str] = []
    if not facts.is_whole:
        notes.append(
            f"These are not the published sizes: {facts.num_train:,} images to learn from, "
            f"{facts.num_val:,} to choose by, {facts.num_test:,} to test on "
            f"({TASK_OF[facts.task].num_test:,} are published)."
        )
    if facts.num_unseen_classes:
        notes.append(
            f"{facts.num_unseen_classes:,} of {facts.num_classes:,} classes have no image to "
            "learn from; their images are misses."
        )
    return " ".join(notes)


def _opening(means: Sequence[ShownMean]) -> list[tuple[str, Number]]:
    return [(f"VTAB-1k, {mean.words}", mean.number) for mean in means if mean.number is not None]


def _measured(results: Results) -> list[FinishedTask[VtabFacts]]:
    """Return all tasks of the kind in a result."""
    return [
        FinishedTask(
            name=task.name,
            benchmark=task.benchmark,
            facts=as_record(task.facts, VtabFacts, of=f"facts of the task `{task.name}`"),
            results=results,
        )
        for task in results.tasks
        if task.kind == "vtab"
    ]
