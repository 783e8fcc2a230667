"""What the report shows of zero-shot classification: numbers, prompts, images and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.drawing.tiles import Tiles
from openalign.evaluate.tasks.classification.zero_shot import (
    Calibration,
    ZeroShotFacts,
)
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
from openalign.pages import charts


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCalibration:
    """Confidence against accuracy."""

    chart: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotSection:
    """A task's numbers and examples."""

    name: str
    facts: ZeroShotFacts
    opening: Sequence[tuple[str, Number]]
    numbers: Mapping[str, Number]
    """By the last part of the metric's name; a set of few classes has no top-5."""

    calibration: ShownCalibration | None
    pairs: Sequence[ShownPair]
    images: ShownImages
    classes: ClassTable


def section(
    task: FinishedTask[ZeroShotFacts], examples: ClassifiedExamples, tiles: Tiles
) -> ZeroShotSection:
    """Return what the template shows of one task."""
    facts = task.facts
    measured = task.results.under(f"zero_shot/{task.name}")
    shares = {m.name.rpartition("/")[2]: share_number(m) for m in measured}
    numbers = beside_most_frequent(shares, examples.classes)
    return ZeroShotSection(
        name=task.name,
        facts=facts,
        opening=opening_of("zero-shot", numbers),
        numbers=numbers,
        calibration=facts.calibration and show_calibration(facts.calibration),
        pairs=show_pairs(examples.confused, tiles),
        images=show_images(examples.images, tiles, facts.num_classes),
        classes=class_table(examples.classes),
    )


def show_calibration(calibration: Calibration) -> ShownCalibration:
    """Return confidence against accuracy, drawn and in words."""
    num_images = sum(each.num_images for each in calibration.bins)
    gap = calibration.confidence - calibration.accuracy
    leaning = "too sure" if gap > 0 else "not sure enough"
    words = (
        f"With the model's temperature of {calibration.temperature:.4g} the first class has a "
        f"probability of {percent(calibration.confidence)} percent on average, and is right for "
        f"{percent(calibration.accuracy)} percent: the model is {leaning}. The expected "
        f"calibration error is {percent(calibration.error)} points."
    )
    return ShownCalibration(
        chart=charts.reliability_chart(
            [(b.confidence, b.accuracy, b.num_images / num_images) for b in calibration.bins],
            label=words,
        ),
        words=words,
    )
