"""Retrieval in both directions (ALIGN §5.1): an image's captions, and a caption's image.

Names of metrics: retrieval/<task>/<split, folds or gallery>/<direction>/<recall_at_K or
median_rank>, and retrieval/<task>/<split, folds or gallery>/mean_recall

The measuring lies in `retrieval_measures`, the report's section in `retrieval_section`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, check_captions, check_splits
from openalign.evaluate.tasks.contract import (
    RECALL_AT,
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    TaskSection,
    percents,
    recall_at,
    template_of,
)
from openalign.settings.limits import at_least, short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

SPLIT = "split"
FOLDS = "folds"
GALLERY = "gallery"
TEXT_TO_IMAGE = "text_to_image"
IMAGE_TO_TEXT = "image_to_text"
MEDIAN_RANK = "median_rank"
MEAN_RECALL = "mean_recall"
DIRECTIONS = {TEXT_TO_IMAGE: "text to image", IMAGE_TO_TEXT: "image to text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalTask:
    """Retrieval between the images of a split and their captions, in both directions (§5.1)."""

    kind: Literal["retrieval"] = "retrieval"
    """Which task: retrieval."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`."""

    split: str = ""
    """Queries come from this split, and it is the first gallery; the data set's own test split when
    empty."""

    gallery_splits: tuple[str, ...] | None = ()
    """The second, larger gallery: the split and these; every split of the data set when empty. null
    leaves it out, and images of other splits need not be there."""

    folds: int | None = None
    """Also cut the split into so many runs of consecutive images, as even as can be, each a gallery
    of its own, and give the mean over them: 5 makes MSCOCO's 1K numbers of its 5K split."""

    def __post_init__(self) -> None:
        if self.folds is not None:
            at_least(2, folds=self.folds)
        if self.name:
            short_name(name=self.name)


class RetrievalFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large the galleries were."""

    split: str
    num_images: int
    num_captions: int
    gallery_splits: tuple[str, ...]
    """What the whole gallery holds."""

    num_gallery_images: int
    num_gallery_captions: int
    num_folds: int | None
    num_fold_images: int | None
    """How many images a fold's gallery has at most."""


class FoundCaption(msgspec.Struct, frozen=True, kw_only=True):
    """A caption and the image it belongs to."""

    image: str
    text: str


class TextQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A caption and the images found for it in its split."""

    caption: str
    image: str
    rank: int
    """Place of the right image; 1 is the first."""

    first: tuple[str, ...]


class ImageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """An image and the captions found for it in its split."""

    image: str
    captions: tuple[str, ...]
    rank: int
    """Place of its best own caption; 1 is the first."""

    first: tuple[FoundCaption, ...]


class RetrievalExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some queries of both directions."""

    text_to_image: tuple[TextQuery, ...]
    image_to_text: tuple[ImageQuery, ...]


def split_of(task: RetrievalTask, dataset: Dataset) -> str:
    """Return the split that queries come from."""
    return task.split or dataset.test_split


def gallery_of(task: RetrievalTask, dataset: Dataset) -> set[str] | None:
    """Return the splits of the larger gallery; None for every split of the data set."""
    if task.gallery_splits == ():
        return None
    return {split_of(task, dataset), *(task.gallery_splits or ())}


def needs(task: RetrievalTask, dataset: Dataset) -> Needs:
    """Return the splits whose images and captions are searched.

    Raises:
        InputError: a split that the task names is not there, or has fewer images than folds.
    """
    of, split = f"benchmark `{task.benchmark}`", split_of(task, dataset)
    gallery = gallery_of(task, dataset)
    check_splits(dataset, sorted(gallery or {split}), of=of)
    check_captions(dataset, {split}, of=of)
    num_images = sum(image.split == split for image in dataset.images)
    if task.folds is not None and num_images < task.folds:
        raise InputError(
            f"{of}: the {num_images:,} images of split `{split}` make no {task.folds} folds",
            hint="name a smaller number of `folds`, or leave it out",
        )
    return Needs(splits=gallery, captions=True)


def measure(
    task: RetrievalTask, material: Material, sampling: Sampling
) -> Measured[RetrievalFacts, RetrievalExamples]:
    """Return recall in both directions, within the split and over the whole gallery."""
    from openalign.evaluate.tasks.retrieval import retrieval_measures

    return retrieval_measures.measure(task, material.benchmark, sampling)


def num_fold_images(num_images: int, num_folds: int | None) -> int | None:
    """Return how many images a fold has at most, None where there are no folds."""
    return None if num_folds is None else -(-num_images // num_folds)


def headline(task: FinishedTask[RetrievalFacts]) -> list[str]:
    """Return a line a direction: recall within the split, and what chance would reach."""
    lines: list[str] = []
    for direction, words in DIRECTIONS.items():
        prefix = f"retrieval/{task.name}/{SPLIT}/{direction}"
        recalls = [task.results.metric(f"{prefix}/{recall_at(k)}") for k in RECALL_AT]
        lines.append(
            f"{task.name} {task.facts.split}, {words}: R@1/5/10 "
            f"{percents(metric.value for metric in recalls)} "
            f"(chance {percents(metric.chance for metric in recalls)}; "
            f"{task.facts.num_images:,} images)"
        )
    return lines


def protocol(task: FinishedTask[RetrievalFacts]) -> str:
    """Say what searches what."""
    facts = task.facts
    words = (
        f"Captions search the {facts.num_images:,} images of split {facts.split}, and images its "
        f"{facts.num_captions:,} captions. Any own caption is a hit."
    )
    if facts.num_folds is not None:
        words += f" folds: each query within one of {facts.num_folds:,} runs of images."
    if facts.num_gallery_images > facts.num_images:
        splits = ", ".join(facts.gallery_splits)
        words += f" gallery: over the {facts.num_gallery_images:,} images of {splits}."
    return words


def _section(
    task: FinishedTask[RetrievalFacts], examples: RetrievalExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.retrieval import retrieval_section

    return retrieval_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=RetrievalTask,
    facts=RetrievalFacts,
    examples=RetrievalExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/retrieval.md",
    hub_task="image-text-retrieval",
    protocol=protocol,
    # Published numbers are of the split alone: the images of other splits need not be there.
    by_default=lambda benchmark, _: RetrievalTask(benchmark=benchmark, gallery_splits=None),
)
