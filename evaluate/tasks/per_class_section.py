"""What the report shows of single classes: a table, and the pairs that are confused most often."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import percent
from openalign.evaluate.drawing.tiles import Tile, Tiles
from openalign.evaluate.tasks.per_class import ClassScore, ConfusedPair

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
