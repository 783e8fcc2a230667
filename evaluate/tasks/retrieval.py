"""Retrieval in both directions (ALIGN §5.1): an image's captions, and a caption's image.

Names of metrics: retrieval/<task>/<split or gallery>/<direction>/<recall_at_K or median_rank>

The measuring lies in `retrieval_measures`, the report's section in `retrieval_section`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.evaluate.datasets.dataset import Dataset, check_splits
from openalign.evaluate.tasks.contract import (
    RECALL_AT,
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    TaskSection,
)
from openalign.settings.limits import short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

SPLIT = "split"
GALLERY = "gallery"
TEXT_TO_IMAGE = "text_to_image"
IMAGE_TO_TEXT = "image_to_text"
MEDIAN_RANK = "median_rank"
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

    split: str = "test"
    """Queries come from this split, and it is the first gallery."""

    gallery_splits: tuple[str, ...] = ()
    """The second, larger gallery: the split and these; every split of the data set when empty."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        if not self.split:
            raise ValueError("split must be named, got nothing: queries come from it")


class RetrievalFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large the galleries were."""

    split: str
    num_images: int
    num_captions: int
    gallery_splits: tuple[str, ...]
    """What the whole gallery holds."""

    num_gallery_images: int
    num_gallery_captions: int


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


def needs(task: RetrievalTask, dataset: Dataset) -> Needs:
    """Return the splits whose images and captions are searched.

    Raises:
        InputError: a split that the task names is not there.
    """
    splits = {task.split, *task.gallery_splits}
    check_splits(dataset, sorted(splits), of=f"benchmark `{task.benchmark}`")
    return Needs(splits=splits if task.gallery_splits else None, captions=True)


def measure(
    task: RetrievalTask, material: Material, sampling: Sampling
) -> Measured[RetrievalFacts, RetrievalExamples]:
    """Return recall in both directions, within the split and over the whole gallery."""
    from openalign.evaluate.tasks import retrieval_measures

    return retrieval_measures.measure(task, material.benchmark, sampling)


def recall_at(k: int) -> str:
    """Return the last part of the name of a recall."""
    return f"recall_at_{k}"


def headline(task: FinishedTask[RetrievalFacts]) -> list[str]:
    """Return a line a direction: recall within the split, and what chance would reach."""
    lines: list[str] = []
    for direction, words in DIRECTIONS.items():
        prefix = f"retrieval/{task.name}/{SPLIT}/{direction}"
        recalls = [task.results.metric(f"{prefix}/{recall_at(k)}") for k in RECALL_AT]
        lines.append(
            f"{task.name} {task.facts.split}, {words}: R@1/5/10 "
            f"{_percents([metric.value for metric in recalls])} "
            f"(chance {_percents([metric.chance for metric in recalls])}; "
            f"{task.facts.num_images:,} images)"
        )
    return lines


def _percents(values: Sequence[float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values)


def _section(
    task: FinishedTask[RetrievalFacts], examples: RetrievalExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks import retrieval_section

    return retrieval_section.section(task, examples, tiles)


def _template(form: str) -> str:
    folder = files("openalign.evaluate.tasks") / "templates"
    return (folder / f"retrieval.{form}").read_text(encoding="utf-8")


KIND = TaskKind(
    settings=RetrievalTask,
    facts=RetrievalFacts,
    examples=RetrievalExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=_template,
    headline=headline,
    # Published numbers are of the split alone: the images of other splits need not be there.
    by_default=lambda benchmark: RetrievalTask(benchmark=benchmark, gallery_splits=("test",)),
)
