"""What the report shows of linear probes: numbers, the penalties tried, images and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.contract import FinishedTask
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
from openalign.evaluate.tasks.probes.probe import PenaltySweep, ProbeFacts
from openalign.pages import charts


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSweep:
    """The settings that were tried, drawn and in words."""

    chart: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSection:
    """A task's numbers and examples."""

    name: str
    facts: ProbeFacts
    opening: Sequence[tuple[str, Number]]
    numbers: Mapping[str, Number]
    """By the last part of the metric's name; a set of few classes has no top-5."""

    how: str
    """How the head was fitted, in words."""

    sweep: ShownSweep | None
    pairs: Sequence[ShownPair]
    images: ShownImages
    classes: ClassTable


def section(
    task: FinishedTask[ProbeFacts], examples: ClassifiedExamples, tiles: Tiles
) -> ProbeSection:
    """Return what the template shows of one task."""
    facts = task.facts
    measured = task.results.under(f"probe/{task.name}")
    shares = {m.name.rpartition("/")[2]: share_number(m) for m in measured}
    numbers = beside_most_frequent(shares, examples.classes)
    return ProbeSection(
        name=task.name,
        facts=facts,
        opening=opening_of("linear probe", numbers),
        numbers=numbers,
        how=how_fitted(facts),
        sweep=facts.sweep and show_sweep(facts.sweep),
        pairs=show_pairs(examples.confused, tiles),
        images=show_images(examples.images, tiles, facts.num_classes),
        classes=class_table(examples.classes),
    )


def how_fitted(facts: ProbeFacts) -> str:
    """Return how the head was fitted, in a few words."""
    if (sweep := facts.sweep) is not None:
        ending = "" if sweep.converged else ", where it was stopped"
        return f"L-BFGS, penalty {sweep.penalty:g}, {sweep.iterations:,} iterations{ending}"
    assert facts.descended is not None
    return (
        f"SGD, {facts.descended.steps:,} steps of {facts.descended.batch_size:,} images from a "
        f"rate of {facts.descended.learning_rate:g}"
    )


def show_sweep(sweep: PenaltySweep) -> ShownSweep:
    """Return the penalties that were tried."""
    shares = [trial.num_right / sweep.num_held_out for trial in sweep.trials]
    chosen = next(at for at, t in enumerate(sweep.trials) if t.penalty == sweep.penalty)
    words = (
        f"{len(sweep.trials)} penalties were tried on {sweep.num_fitted:,} images and judged by "
        f"{sweep.num_held_out:,} ({sweep.held_out}). The best was {sweep.penalty:g}, with "
        f"{percent(shares[chosen])} percent right."
    )
    points = [
        charts.Dot(
            x=trial.penalty,
            share=share,
            words=f"penalty {trial.penalty:g}: {percent(share)} percent",
        )
        for trial, share in zip(sweep.trials, shares, strict=True)
    ]
    return ShownSweep(
        chart=charts.sweep_chart(points, chosen=chosen, label=words, unit="L2 penalty"),
        words=words,
    )
