"""What the report shows of Crisscrossed Captions: recall, correlations, and similar images."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import (
    Number,
    correlation_number,
    percent,
    share_number,
)
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles, place_in_words
from openalign.evaluate.tasks.contract import RECALL_AT, FinishedTask, recall_at
from openalign.evaluate.tasks.similarity.cxc import (
    MEAN,
    RATINGS,
    CxcExamples,
    CxcFacts,
    SimilarImageQuery,
    correlation_name,
    direction_prefix,
)
from openalign.evaluate.tasks.similarity.cxc_rights import DIRECTIONS
from openalign.files.hashing import hash64

NUM_DRAWN = 8
"""Queries that are shown as drawn."""

NUM_WORST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionRow:
    """Recall in one direction."""

    direction: str
    num_queries: int
    num_right: int
    num_skipped: int
    numbers: Sequence[Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationRow:
    """One correlation, or the mean of all."""

    rated: str
    num_queries: int
    std: str
    """Standard deviation over the resamples, times 100; empty for the mean of all."""

    number: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class CxcSection:
    """A task's numbers, choices and examples."""

    name: str
    facts: CxcFacts
    directions: Sequence[DirectionRow]
    correlations: Sequence[CorrelationRow]
    drawn: Sequence[ShownQuery]
    worst: Sequence[ShownQuery]
    num_sampled: int
    opening: Sequence[tuple[str, Number]] = ()


def section(task: FinishedTask[CxcFacts], examples: CxcExamples, tiles: Tiles) -> CxcSection:
    """Return what the template shows of one task."""
    queries = sorted(examples.image_to_image, key=lambda query: hash64(query.image))
    # An image that is among those shown is found, whatever its place.
    failed = [query for query in queries[NUM_DRAWN:] if not set(query.right) & set(query.first)]
    worst = sorted(failed, key=lambda query: -query.rank)[:NUM_WORST]
    facts = task.facts
    num_images = facts.num_images - 1
    ratings = [name for name in RATINGS if name in facts.correlations]
    if len(ratings) == len(RATINGS):
        ratings.append(MEAN)
    return CxcSection(
        name=task.name,
        facts=facts,
        directions=[_direction(task, name) for name in DIRECTIONS if name in facts.directions],
        correlations=[_correlation(task, name) for name in ratings],
        drawn=[show_similar_images(q, tiles, num_images) for q in queries[:NUM_DRAWN]],
        worst=[show_similar_images(q, tiles, num_images) for q in worst],
        num_sampled=len(queries),
    )


def _direction(task: FinishedTask[CxcFacts], direction: str) -> DirectionRow:
    prefix, facts = direction_prefix(task.name, direction), task.facts.directions[direction]
    return DirectionRow(
        direction=DIRECTIONS[direction],
        num_queries=facts.num_queries,
        num_right=facts.num_right,
        num_skipped=facts.num_skipped,
        numbers=[share_number(task.results.metric(f"{prefix}/{recall_at(k)}")) for k in RECALL_AT],
    )


def _correlation(task: FinishedTask[CxcFacts], rating: str) -> CorrelationRow:
    metric = task.results.metric(correlation_name(task.name, rating))
    std = "" if rating == MEAN else percent(task.facts.correlations[rating].std)
    return CorrelationRow(
        rated=RATINGS.get(rating, "mean of the three"),
        num_queries=metric.n,
        std=std,
        number=correlation_number(metric),
    )


def show_similar_images(query: SimilarImageQuery, tiles: Tiles, num_gallery: int) -> ShownQuery:
    """Return an image and the images found for it; every right one is marked, or one is shown."""
    found = [tiles.tile(name, right=name if name in query.right else "") for name in query.first]
    is_found = any(tile.is_right for tile in found)
    return ShownQuery(
        place=place_in_words(query.rank, num_gallery),
        is_first=query.rank == 1,
        is_found=is_found,
        start=tiles.tile(query.image),
        tiles=found,
        answer=None if is_found else tiles.tile(query.right[0], right=query.right[0]),
    )
