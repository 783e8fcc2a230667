"""What the report shows of fine-tuning: numbers, images and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.contract import FinishedTask, with_noun
from openalign.evaluate.tasks.fine_tuning.fine_tune import FineTuneFacts
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.evaluate.tasks.per_class_section import (
    ClassTable,
    ShownImages,
    ShownPair,
    class_table,
    opening_of,
    show_images,
    show_pairs,
)

_NOT_SHARES = ("std_over_runs",)


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

    pairs: Sequence[ShownPair]
    images: ShownImages
    classes: ClassTable


def section(
    task: FinishedTask[FineTuneFacts], examples: ClassifiedExamples, tiles: Tiles
) -> FineTuneSection:
    """Return what the template shows of one task."""
    facts, prefix = task.facts, f"fine_tune/{task.name}"
    parts = {m.name.rpartition("/")[2]: m for m in task.results.under(prefix)}
    numbers = {name: share_number(m) for name, m in parts.items() if name not in _NOT_SHARES}
    return FineTuneSection(
        name=task.name,
        facts=facts,
        opening=opening_of("fine-tuned", numbers),
        numbers=numbers,
        deviation=percent(parts["std_over_runs"].value),
        how=how_trained(facts),
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
        settings = ", ".join(f"{name} {value:g}" for name, value in best.settings.items())
        stages = (
            f"the best of {with_noun(len(facts.trials), 'trial')}, right for "
            f"{percent(best.num_right / facts.num_val_images)} percent of "
            f"{facts.num_val_images:,} images ({settings}): {stages}"
        )
    if facts.num_skipped:
        runs += f"; {with_noun(facts.num_skipped, 'step')} changed nothing: not finite"
    return f"{facts.recipe}: {stages}; {facts.batch_size:,} images a step; {runs}"
