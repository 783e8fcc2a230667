"""What the reports of CIRR and FashionIQ share: numbers by method, and queries with images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, share_number
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles, edited_image
from openalign.evaluate.results import Results
from openalign.evaluate.tasks.composed.composed import COMBINED, IMAGE_ONLY, TEXT_ONLY
from openalign.evaluate.tasks.edits.edits import EditExample, EditExamples
from openalign.files.hashing import hash64

NUM_DRAWN = 6
"""Queries that are shown as drawn."""

NUM_WORST = 4

METHODS = {IMAGE_ONLY: "image alone", TEXT_ONLY: "text alone", COMBINED: "image and text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """One method's numbers."""

    method: str
    numbers: Sequence[Number]


def method_rows(results: Results, prefix: str, lasts: Iterable[str]) -> list[MethodRow]:
    """Return a row a method; `lasts` are the last parts of the metrics' names."""
    names = list(lasts)
    return [
        MethodRow(
            method=words,
            numbers=[share_number(results.metric(f"{prefix}/{method}/{last}")) for last in names],
        )
        for method, words in METHODS.items()
    ]


def drawn_and_worst(
    examples: EditExamples, category: str, tiles: Tiles
) -> tuple[list[ShownQuery], list[ShownQuery]]:
    """Return some queries of a category as they were drawn, and the worst of the others."""
    queries = sorted(
        (query for query in examples.queries if query.category == category),
        key=lambda query: hash64(f"{query.reference}\0{query.text}"),
    )
    # An image that is among those shown is found, whatever its place.
    failed = [query for query in queries[NUM_DRAWN:] if query.target not in query.first]
    worst = sorted(failed, key=lambda query: -query.rank)[:NUM_WORST]
    return (
        [show_edit(query, tiles) for query in queries[:NUM_DRAWN]],
        [show_edit(query, tiles) for query in worst],
    )


def show_edit(query: EditExample, tiles: Tiles) -> ShownQuery:
    """Return an image, what is to be changed about it, and the images found."""
    return edited_image(
        tiles,
        start=query.reference,
        plus=query.text,
        target=query.target,
        first=query.first,
        rank=query.rank,
        image_only_rank=query.image_only_rank,
    )
