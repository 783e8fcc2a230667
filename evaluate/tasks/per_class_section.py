"""What the report shows of classification: images, single classes, and what is confused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from openalign.evaluate.drawing.metric_numbers import Number, percent, small_percent
from openalign.evaluate.drawing.tiles import ShownQuery, Tile, Tiles
from openalign.evaluate.tasks.contract import recall_at
from openalign.evaluate.tasks.per_class import (
    MEAN_PER_CLASS,
    ClassifiedImage,
    ClassScore,
    ConfusedPair,
)
from openalign.files.hashing import hash64

NUM_IMAGES = 8
"""Images that are shown as drawn."""

NUM_WORST = 4

COLUMNS = {"top_1": "top 1", "top_5": "top 5", MEAN_PER_CLASS: "mean per class"}

_FIRST_PLACES = ("top_1", "head_top_1", recall_at(1))
"""Shares of images, whatever their classes."""

MOST_CLASSES = 1000
"""Classes that a table shows; a row takes some 200 bytes of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A class as the table shows it."""

    title: str
    num_images: int
    shares: Sequence[str]
    """Share that is hit at the first place and among the first five, in percent."""

    taken_for: str
    """The class that its misses were taken for most often, and how many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """The classes, the worst first."""

    rows: Sequence[ClassRow]
    num_classes: int
    """Classes that have an image; the rest of them are in the file of examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """A class that was taken for another, with an image of each."""

    image: Tile
    other: Tile | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownImages:
    """Some images with the classes that came first for them."""

    drawn: Sequence[ShownQuery]
    worst: Sequence[ShownQuery]
    num_sampled: int


def beside_most_frequent(
    numbers: Mapping[str, Number], classes: Sequence[ClassScore]
) -> dict[str, Number]:
    """Return numbers, by the last part of each metric's name, with a mark to hold top-1 against.

    Where classes are of unequal size, who always names the largest one beats chance by far.
    """
    num_images = sum(each.num_images for each in classes)
    if not num_images:
        return dict(numbers)
    share = small_percent(max(each.num_images for each in classes) / num_images)
    return {
        last: replace(number, most_frequent=share)
        if last in _FIRST_PLACES and share != number.chance
        else number
        for last, number in numbers.items()
    }


def opening_of(what: str, numbers: Mapping[str, Number]) -> list[tuple[str, Number]]:
    """Return accuracies that a page opens with, given by the last part of each metric's name."""
    return [
        (f"{what}, {words}", numbers[last]) for last, words in COLUMNS.items() if last in numbers
    ]


def show_images(images: Sequence[ClassifiedImage], tiles: Tiles, num_classes: int) -> ShownImages:
    """Return some images as they were drawn, and the worst of the others."""
    drawn = sorted(images, key=lambda image: hash64(image.image))
    worst = sorted(drawn[NUM_IMAGES:], key=lambda image: -image.rank)[:NUM_WORST]
    return ShownImages(
        drawn=[show_image(each, tiles, num_classes) for each in drawn[:NUM_IMAGES]],
        worst=[show_image(each, tiles, num_classes) for each in worst if each.rank > 1],
        num_sampled=len(images),
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


def class_table(classes: Sequence[ClassScore]) -> ClassTable:
    """Return the table of classes; of very many, those that fared worst."""
    worst = sorted(classes, key=lambda each: (each.hit_at_1, each.hit_at_5))[:MOST_CLASSES]
    return ClassTable(
        rows=[
            ClassRow(
                title=each.title,
                num_images=each.num_images,
                shares=[percent(each.hit_at_1), percent(each.hit_at_5)],
                taken_for=f"{each.taken_for} ({each.num_taken:,})" if each.num_taken else "",
            )
            for each in worst
        ],
        num_classes=len(classes),
    )


def show_pairs(pairs: Sequence[ConfusedPair], tiles: Tiles) -> list[ShownPair]:
    """Return the confused pairs with their images."""
    return [
        ShownPair(
            image=tiles.tile(pair.image, caption=pair.title),
            other=tiles.tile(pair.other, caption=pair.taken_for) if pair.other else None,
            words=f"{pair.title}, taken for {pair.taken_for}: "
            f"{pair.num_taken:,} of {pair.num_images:,} images",
        )
        for pair in pairs
    ]
