"""Nearest neighbors (ALIGN §6, footnote 3): an image is a hit if training images near it are alike.

Names of metrics: neighbors/<task>/recall_at_K

The search lies in `neighbors_search`, the measuring in `neighbors_measures`, the report's section
in `neighbors_section`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, check_labels, check_splits
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
from openalign.evaluate.tasks.per_class import ClassScore, ConfusedPair
from openalign.settings.limits import short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborsTask:
    """Nearest training images by the image tower alone: is one of the same class (footnote 3)?"""

    kind: Literal["neighbors"] = "neighbors"
    """Which task: nearest neighbors."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set with classes."""

    split: str = ""
    """Its images ask; the data set's own test split when empty."""

    train_split: str = ""
    """Its images are searched; the data set's own training split when empty."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)


class NeighborsFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many images asked, and how many were searched."""

    split: str
    train_split: str
    num_images: int
    num_train_images: int
    num_classes: int
    num_without_class: int
    """Images whose class no training image has; they are misses."""


class Neighbor(msgspec.Struct, frozen=True, kw_only=True):
    """A training image and its class."""

    image: str
    title: str


class NeighborsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """An image and the training images that lie nearest."""

    image: str
    title: str
    """Its class."""

    hit_at: int
    """The smallest K at which it is a hit; 0 where it is none."""

    first: tuple[Neighbor, ...]


class NeighborsExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some images, every class, and the classes that were confused most often."""

    images: tuple[NeighborsQuery, ...]
    classes: tuple[ClassScore, ...]
    confused: tuple[ConfusedPair, ...]


def splits_of(task: NeighborsTask, dataset: Dataset) -> tuple[str, str]:
    """Return the split that asks and the split that is searched."""
    return task.split or dataset.test_split, task.train_split or dataset.train_split


def needs(task: NeighborsTask, dataset: Dataset) -> Needs:
    """Return the two splits.

    Raises:
        InputError: one is not there, both are the same, or an image has no class.
    """
    of, splits = f"benchmark `{task.benchmark}`", splits_of(task, dataset)
    if splits[0] == splits[1]:
        raise InputError(
            f"{of}: split `{splits[0]}` asks and is searched, so each image would find itself",
            hint="name another `split` or `train_split`",
        )
    check_splits(dataset, splits, of=of)
    check_labels(dataset, splits, of=of)
    return Needs(splits=set(splits))


def measure(
    task: NeighborsTask, material: Material, sampling: Sampling
) -> Measured[NeighborsFacts, NeighborsExamples]:
    """Return the share of images that have one of their class among the nearest K."""
    from openalign.evaluate.tasks.classification import neighbors_measures

    return neighbors_measures.measure(task, material.benchmark, sampling)


def headline(task: FinishedTask[NeighborsFacts]) -> list[str]:
    """Return a line: recall, and what chance would reach."""
    facts = task.facts
    found = [task.results.metric(f"neighbors/{task.name}/{recall_at(k)}") for k in RECALL_AT]
    searched = f"{facts.num_train_images:,} of {facts.train_split}"
    line = (
        f"{task.name} {facts.split}, nearest neighbors: R@1/5/10 "
        f"{percents(m.value for m in found)} (chance {percents(m.chance for m in found)}; "
        f"{facts.num_images:,} images among {searched})"
    )
    return [line]


def protocol(task: FinishedTask[NeighborsFacts]) -> str:
    """Say what was a hit among which images."""
    facts = task.facts
    return (
        f"An image of split {facts.split} is a hit at K if one of its class is among the K nearest "
        f"of the {facts.num_train_images:,} images of split {facts.train_split}. There is no vote."
    )


def _section(
    task: FinishedTask[NeighborsFacts], examples: NeighborsExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.classification import neighbors_section

    return neighbors_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=NeighborsTask,
    facts=NeighborsFacts,
    examples=NeighborsExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/classification.md",
    hub_task="image-classification",
    protocol=protocol,
    learns=True,
)
