"""What the report shows of nearest neighbors: numbers, images with their neighbors, and classes."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, share_number
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles
from openalign.evaluate.tasks.classification.neighbors import (
    NeighborsExamples,
    NeighborsFacts,
    NeighborsQuery,
)
from openalign.evaluate.tasks.contract import RECALL_AT, FinishedTask, recall_at
from openalign.evaluate.tasks.per_class_section import (
    ClassTable,
    ShownPair,
    beside_most_frequent,
    class_table,
    show_pairs,
)
from openalign.files.hashing import hash64

NUM_IMAGES = 6
"""Images that are shown as drawn, each with its neighbors."""

NUM_MISSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborsSection:
    """A task's numbers and examples."""

    name: str
    facts: NeighborsFacts
    opening: Sequence[tuple[str, Number]]
    numbers: Sequence[Number]
    """Recall at 1, 5 and 10."""

    pairs: Sequence[ShownPair]
    drawn: Sequence[ShownQuery]
    misses: Sequence[ShownQuery]
    num_sampled: int
    classes: ClassTable


def section(
    task: FinishedTask[NeighborsFacts], examples: NeighborsExamples, tiles: Tiles
) -> NeighborsSection:
    """Return what the template shows of one task."""
    prefix = f"neighbors/{task.name}"
    recalls = [recall_at(k) for k in RECALL_AT]
    shares = {last: share_number(task.results.metric(f"{prefix}/{last}")) for last in recalls}
    numbers = list(beside_most_frequent(shares, examples.classes).values())
    images = sorted(examples.images, key=lambda image: hash64(image.image))
    misses = [image for image in images[NUM_IMAGES:] if not image.hit_at][:NUM_MISSES]
    return NeighborsSection(
        name=task.name,
        facts=task.facts,
        opening=[
            (f"nearest neighbors, R@{k}", number)
            for k, number in zip(RECALL_AT, numbers, strict=True)
        ],
        numbers=numbers,
        pairs=show_pairs(examples.confused, tiles),
        drawn=[show_query(image, tiles) for image in images[:NUM_IMAGES]],
        misses=[show_query(image, tiles) for image in misses],
        num_sampled=len(images),
        classes=class_table(examples.classes),
    )


def show_query(image: NeighborsQuery, tiles: Tiles) -> ShownQuery:
    """Return an image and its nearest training images, those of its class marked."""
    first = [
        tiles.tile(
            each.image, caption=each.title, right=each.image if each.title == image.title else ""
        )
        for each in image.first
    ]
    places = {0: f"none of its class among the nearest {RECALL_AT[-1]}", 1: "a hit at 1"}
    return ShownQuery(
        query=image.title,
        place=places.get(image.hit_at, f"a hit at {image.hit_at}"),
        is_first=image.hit_at == 1,
        is_found=any(tile.is_right for tile in first),
        start=tiles.tile(image.image, caption=image.title),
        tiles=first,
    )
