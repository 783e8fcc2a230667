"""What the report shows of composed queries: each method's numbers, and the gain by words."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, gain_number, share_number, signed
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles, edited_image
from openalign.evaluate.results import Metric, Results
from openalign.evaluate.tasks.composed.composed import (
    COMBINED,
    GAIN,
    IMAGE_ONLY,
    TEXT_ONLY,
    ComposedExample,
    ComposedExamples,
    ComposedFacts,
    is_supported,
)
from openalign.evaluate.tasks.contract import FinishedTask

NUM_SHOWN = 4
"""Queries shown of each kind."""

METHODS = {
    IMAGE_ONLY: "image alone",
    TEXT_ONLY: "words alone",
    COMBINED: "image and words",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfQuery:
    """One kind of composed query: each method's numbers, the gain, and what may be claimed."""

    kind: str
    num_queries: int
    methods: Sequence[tuple[str, Sequence[Number]]]
    gain: Sequence[Number]
    verdict: str
    is_supported: bool
    shown: Sequence[ShownQuery]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedSection:
    """A set of composed queries."""

    name: str
    weights: str
    kinds: Sequence[KindOfQuery]
    opening: Sequence[tuple[str, Number]] = ()


def section(
    task: FinishedTask[ComposedFacts], examples: ComposedExamples, tiles: Tiles
) -> ComposedSection:
    """Return what the template shows of one task."""
    prefix, facts = f"composed/{task.name}", task.facts
    return ComposedSection(
        name=task.name,
        weights=f"{facts.image_weight:g} : {facts.plus_weight:g} : {facts.minus_weight:g}",
        kinds=[
            _kind_of_query(
                task.results,
                kind,
                f"{prefix}/{kind}",
                [show_composed_query(q, tiles) for q in examples.queries if q.kind == kind],
            )
            for kind in facts.kinds
        ],
    )


def _kind_of_query(
    results: Results, kind: str, prefix: str, shown: Sequence[ShownQuery]
) -> KindOfQuery:
    gains = results.under(f"{prefix}/{GAIN}")
    return KindOfQuery(
        kind=kind,
        num_queries=gains[0].n,
        methods=[
            (words, [share_number(m) for m in results.under(f"{prefix}/{method}")])
            for method, words in METHODS.items()
        ],
        gain=[gain_number(metric) for metric in gains],
        verdict=verdict(gains[0]),
        is_supported=is_supported(gains[0]),
        shown=shown[:NUM_SHOWN],
    )


def show_composed_query(query: ComposedExample, tiles: Tiles) -> ShownQuery:
    """Return an image, words to take away and to add, and the images found."""
    return edited_image(
        tiles,
        start=query.image,
        minus=query.minus,
        plus=query.plus,
        target=query.target,
        first=query.first,
        rank=query.rank,
        image_only_rank=query.image_only_rank,
    )


def verdict(gain: Metric) -> str:
    """Say what the interval of a gain in top-1 over the image alone shows."""
    points = f"{signed(gain.low)} to {signed(gain.high)} points"
    if is_supported(gain):
        return f"The words help: top-1 gains {points} over the image alone."
    if gain.high < 0:
        return f"The words hurt: top-1 is {points} off the image alone's."
    return f"No claim: the gain in top-1 over the image alone may be zero or below ({points})."
