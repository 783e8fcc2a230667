"""What the report shows of retrieval: a row a direction and gallery, and some queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.evaluate.drawing.metric_numbers import Number, rank_number, share_number
from openalign.evaluate.drawing.tiles import ShownQuery, Tiles, place_in_words
from openalign.evaluate.tasks.contract import RECALL_AT, FinishedTask, recall_at
from openalign.evaluate.tasks.retrieval.retrieval import (
    DIRECTIONS,
    FOLDS,
    GALLERY,
    IMAGE_TO_TEXT,
    MEAN_RECALL,
    MEDIAN_RANK,
    SPLIT,
    TEXT_TO_IMAGE,
    ImageQuery,
    RetrievalExamples,
    RetrievalFacts,
    TextQuery,
)
from openalign.files.hashing import hash64

NUM_QUERIES = 8
"""Queries of each direction that are shown as drawn."""

NUM_WORST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRow:
    """One direction in one gallery."""

    direction: str
    gallery: str
    numbers: Sequence[Number]
    """Recall at 1, 5 and 10."""

    median: Number
    num_queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRow:
    """The mean of both directions' recalls in one gallery."""

    gallery: str
    number: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSection:
    """A task's numbers and examples."""

    name: str
    facts: RetrievalFacts
    opening: Sequence[tuple[str, Number]]
    rows: Sequence[RecallRow]
    means: Sequence[MeanRow]
    text_queries: Sequence[ShownQuery]
    worst: Sequence[ShownQuery]
    image_queries: Sequence[ShownQuery]
    num_sampled: int


def section(
    task: FinishedTask[RetrievalFacts], examples: RetrievalExamples, tiles: Tiles
) -> RetrievalSection:
    """Return what the template shows of one task."""
    facts, scopes = task.facts, _scopes(task.facts)
    texts = sorted(examples.text_to_image, key=lambda query: hash64(query.caption))
    drawn = texts[:NUM_QUERIES]
    # An image that is among those shown is found, whatever its place.
    failed = [query for query in texts[NUM_QUERIES:] if query.image not in query.first]
    worst = sorted(failed, key=lambda query: -query.rank)[:NUM_WORST]
    images = sorted(examples.image_to_text, key=lambda query: hash64(query.image))[:NUM_QUERIES]
    return RetrievalSection(
        name=task.name,
        facts=facts,
        opening=_opening(task),
        rows=[_row(task, scope, name) for scope in scopes for name in DIRECTIONS],
        means=[
            MeanRow(
                gallery=_gallery(facts, scope),
                number=share_number(task.results.metric(f"{_prefix(task, scope)}/{MEAN_RECALL}")),
            )
            for scope in scopes
        ],
        text_queries=[show_text_query(q, tiles, facts.num_images) for q in drawn],
        worst=[show_text_query(q, tiles, facts.num_images) for q in worst],
        image_queries=[show_image_query(q, tiles, facts.num_captions) for q in images],
        num_sampled=len(texts),
    )


def _opening(task: FinishedTask[RetrievalFacts]) -> list[tuple[str, Number]]:
    prefix = _prefix(task, SPLIT)
    chosen = [
        (f"text to image, R@{k}", f"{prefix}/{TEXT_TO_IMAGE}/{recall_at(k)}") for k in RECALL_AT
    ]
    chosen.append(("image to text, R@1", f"{prefix}/{IMAGE_TO_TEXT}/{recall_at(1)}"))
    return [(words, share_number(task.results.metric(name))) for words, name in chosen]


def _prefix(task: FinishedTask[RetrievalFacts], scope: str) -> str:
    return f"retrieval/{task.name}/{scope}"


def _scopes(facts: RetrievalFacts) -> list[str]:
    """Return the galleries that were measured."""
    scopes = [SPLIT]
    if facts.num_folds is not None:
        scopes.append(FOLDS)
    if facts.num_gallery_images > facts.num_images:
        scopes.append(GALLERY)
    return scopes


def _row(task: FinishedTask[RetrievalFacts], scope: str, direction: str) -> RecallRow:
    prefix = f"{_prefix(task, scope)}/{direction}"
    found = [task.results.metric(f"{prefix}/{recall_at(k)}") for k in RECALL_AT]
    return RecallRow(
        direction=DIRECTIONS[direction],
        gallery=_gallery(task.facts, scope, direction),
        numbers=[share_number(metric) for metric in found],
        median=rank_number(task.results.metric(f"{prefix}/{MEDIAN_RANK}")),
        num_queries=found[0].n,
    )


def _gallery(facts: RetrievalFacts, scope: str, direction: str = TEXT_TO_IMAGE) -> str:
    """Say what is searched; a gallery is named by its images where no direction is given."""
    if scope == FOLDS:
        up_to = "up to " if facts.num_images % (facts.num_folds or 1) else ""
        size = f"{up_to}{facts.num_fold_images:,} images"
        return f"{facts.num_folds:,} folds of {size} of {facts.split}"
    of_split = scope == SPLIT
    if direction == TEXT_TO_IMAGE:
        size, what = facts.num_images if of_split else facts.num_gallery_images, "images"
    else:
        size, what = facts.num_captions if of_split else facts.num_gallery_captions, "captions"
    return f"the {size:,} {what} of {facts.split}" if of_split else f"all {size:,} {what}"


def show_text_query(query: TextQuery, tiles: Tiles, num_gallery: int) -> ShownQuery:
    """Return a caption and the images found for it."""
    is_found = query.image in query.first
    return ShownQuery(
        query=query.caption,
        place=place_in_words(query.rank, num_gallery),
        is_first=query.rank == 1,
        is_found=is_found,
        tiles=tiles.found(query.first, right=query.image),
        answer=None if is_found else tiles.tile(query.image, right=query.image),
    )


def show_image_query(query: ImageQuery, tiles: Tiles, num_gallery: int) -> ShownQuery:
    """Return an image and the captions found for it."""
    own = [caption.image == query.image for caption in query.first]
    return ShownQuery(
        query=query.captions[0],
        place=place_in_words(query.rank, num_gallery),
        is_first=query.rank == 1,
        is_found=any(own),
        start=tiles.tile(query.image),
        captions=[(c.text, is_own) for c, is_own in zip(query.first, own, strict=True)],
        answers=() if any(own) else query.captions,
    )
