"""Crisscrossed Captions (ALIGN Tables 2 and 3): retrieval in four directions, and correlations.

Names of metrics: cxc/<task>/<direction>/recall_at_K and cxc/<task>/correlation/<rating>

No scorer for all of it is public: the facts and `docs/tasks/similarity.md` name every choice.
The measuring lies in `cxc_measures`, the report's section in `cxc_section`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, check_captions, check_splits
from openalign.evaluate.datasets.ratings.cxc_ratings import CxcDataset
from openalign.evaluate.tasks.contract import (
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
from openalign.evaluate.tasks.similarity.cxc_rights import DIRECTIONS, rated_split
from openalign.settings.limits import positive, short_name, within

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

STS = "sts"
SIS = "sis"
SITS = "sits"
MEAN = "mean"
RATINGS = {
    STS: "two captions (STS)",
    SIS: "two images (SIS)",
    SITS: "a caption and an image (SITS)",
}
"""In the order of Table 3."""

FEWEST_QUERIES = 4
"""A correlation is over half of them, and one pair has no order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CxcTask:
    """Retrieval within and between images and captions, and agreement with people's ratings."""

    kind: Literal["cxc"] = "cxc"
    """Which task: Crisscrossed Captions."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set of Crisscrossed Captions."""

    split: str = ""
    """Its images, captions and rated pairs are measured; the data set's own when empty."""

    right_from_score: float = 3.0
    """A rated pair is right for retrieval from this score on; ratings are from 0 to 5."""

    own_captions: bool = False
    """Whether an image and its own caption are right too where people rated them lower, as 29 of
    25,000 in the test split. The public scorer of two of the directions says no."""

    co_captions: bool = True
    """Whether captions of one image are right for each other, rated or not."""

    correlation_resamples: int = 1000
    """How often half of the queries are drawn for the correlations."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        within(0, 5, right_from_score=self.right_from_score)
        positive(correlation_resamples=self.correlation_resamples)


class DirectionFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was right in one direction."""

    num_queries: int
    """Those with something right; others are skipped."""

    num_skipped: int
    num_right: int
    """Right items of all queries."""


class CorrelationFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one correlation was drawn from."""

    num_queries: int
    """Captions for STS, images for SIS and SITS."""

    num_pairs: int
    std: float
    """Standard deviation over the resamples, of which the metric is the mean."""


class CxcFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured, and the choices that the protocol leaves open."""

    split: str
    num_images: int
    num_captions: int
    right_from_score: float
    own_captions: bool
    co_captions: bool
    correlation_resamples: int
    directions: dict[str, DirectionFacts]
    """Those in which anything is right."""

    correlations: dict[str, CorrelationFacts]
    """Those of which enough queries are rated."""


class SimilarImageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """An image and the images found for it in its split."""

    image: str
    right: tuple[str, ...]
    rank: int
    """Place of its best right image; 1 is the first."""

    first: tuple[str, ...]


class CxcExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some queries of images by images."""

    image_to_image: tuple[SimilarImageQuery, ...]


def needs(task: CxcTask, dataset: Dataset) -> Needs:
    """Return the split whose images and captions are rated.

    Raises:
        InputError: the data set has no ratings, or none in the split.
    """
    of = f"benchmark `{task.benchmark}`"
    if not isinstance(dataset, CxcDataset):
        raise InputError(
            f"{of}: has no ratings of pairs", hint="this task needs Crisscrossed Captions"
        )
    split = split_of(task, dataset)
    check_splits(dataset, [split], of=of)
    check_captions(dataset, [split], of=of)
    rated = rated_split(dataset, split)
    if not (rated.caption_pairs or rated.image_pairs or rated.caption_image_pairs):
        raise InputError(f"{of}: no pair in split `{split}` is rated")
    return Needs(splits=frozenset({split}), captions=True)


def split_of(task: CxcTask, dataset: Dataset) -> str:
    """Return the split that is measured."""
    return task.split or dataset.test_split


def measure(
    task: CxcTask, material: Material, sampling: Sampling
) -> Measured[CxcFacts, CxcExamples]:
    """Return recall in four directions and three correlations with their mean."""
    from openalign.evaluate.tasks.similarity import cxc_measures

    return cxc_measures.measure(task, material, sampling)


def direction_prefix(task: str, direction: str) -> str:
    """Return how the names of a direction's recalls begin."""
    return f"cxc/{task}/{direction}"


def correlation_name(task: str, rating: str) -> str:
    """Return the name of a correlation, or of their mean."""
    return f"cxc/{task}/correlation/{rating}"


def headline(task: FinishedTask[CxcFacts]) -> list[str]:
    """Return a line of the recalls at 1, and one of the correlations."""
    facts, of = task.facts, f"{task.name} {task.facts.split}"
    directions = [name for name in DIRECTIONS if name in facts.directions]
    ratings = [name for name in RATINGS if name in facts.correlations]
    recalls = percents(
        task.results.metric(f"{direction_prefix(task.name, name)}/{recall_at(1)}").value
        for name in directions
    )
    correlations = percents(
        task.results.metric(correlation_name(task.name, name)).value for name in ratings
    )
    return [
        f"{of}, {', '.join(DIRECTIONS[name] for name in directions)}: R@1 {recalls}",
        f"{of}, {', '.join(ratings).upper()}: Spearman x 100 {correlations}",
    ]


def protocol(task: FinishedTask[CxcFacts]) -> str:
    """Say what was right, and how correlations were drawn."""
    facts = task.facts
    return (
        f"Crisscrossed Captions, split {facts.split}: {facts.num_images:,} images and "
        f"{facts.num_captions:,} captions. A pair is right from a rating of "
        f"{facts.right_from_score:g} on. Spearman's correlation of ratings and cosines is the mean "
        f"over {facts.correlation_resamples:,} draws of half of the queries."
    )


def _section(task: FinishedTask[CxcFacts], examples: CxcExamples, tiles: "Tiles") -> TaskSection:
    from openalign.evaluate.tasks.similarity import cxc_section

    return cxc_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=CxcTask,
    facts=CxcFacts,
    examples=CxcExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/similarity.md",
    hub_task="image-text-retrieval",
    protocol=protocol,
)
