"""What the report shows of zero-shot classification: numbers, prompts, images and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, percent, share_number
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles
from openalign.evaluate.tasks.contract import FinishedTask
from openalign.evaluate.tasks.per_class_section import (
    ClassTable,
    ShownPair,
    class_table,
    show_pairs,
)
from openalign.evaluate.tasks.zero_shot import (
    MEAN_PER_CLASS,
    Calibration,
    ClassifiedImage,
    ZeroShotExamples,
    ZeroShotFacts,
)
from openalign.files.hashing import hash64
from openalign.pages import charts

NUM_IMAGES = 8
"""Images that are shown as drawn."""

NUM_WORST = 4

COLUMNS = {"top_1": "top 1", "top_5": "top 5", MEAN_PER_CLASS: "mean per class"}


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
    drawn: Sequence[ShownQuery]
    worst: Sequence[ShownQuery]
    num_sampled: int
    classes: ClassTable


def section(
    task: FinishedTask[ZeroShotFacts], examples: ZeroShotExamples, tiles: Tiles
) -> ZeroShotSection:
    """Return what the template shows of one task."""
    facts = task.facts
    measured = task.results.under(f"zero_shot/{task.name}")
    numbers = {m.name.rpartition("/")[2]: share_number(m) for m in measured}
    images = sorted(examples.images, key=lambda image: hash64(image.image))
    worst = sorted(images[NUM_IMAGES:], key=lambda image: -image.rank)[:NUM_WORST]
    return ZeroShotSection(
        name=task.name,
        facts=facts,
        opening=[
            (f"zero-shot, {words}", numbers[last])
            for last, words in COLUMNS.items()
            if last in numbers
        ],
        numbers=numbers,
        calibration=facts.calibration and show_calibration(facts.calibration),
        pairs=show_pairs(examples.confused, tiles),
        drawn=[show_image(i, tiles, facts.num_classes) for i in images[:NUM_IMAGES]],
        worst=[show_image(i, tiles, facts.num_classes) for i in worst if i.rank > 1],
        num_sampled=len(images),
        classes=class_table(examples.classes),
    )


def show_image(image: ClassifiedImage, tiles: Tiles, num_classes: int) -> ShownQuery:
    """Return an image and the classes that came first for it."""
    is_found = image.title in image.first
    is_first = image.rank == 1
    return ShownQuery(
        query=image.title,
        place="right class first"
        if is_first
        else f"right class at place {image.rank:,} of {num_classes:,}",
        is_first=is_first,
        is_found=is_found,
        start=tiles.tile(image.image, caption=image.title),
        captions=[(title, title == image.title) for title in image.first],
        answers=() if is_found else (image.title,),
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
