"""CIRR: an image, an edit in words, and the image it leads to, in CIRR's own measures.

Names of metrics: cirr/<task>/<method>/recall_at_K, .../subset_recall_at_K and .../mean

The measuring lies in `cirr_measures` and `edits_measures`, the report's section in `cirr_section`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.edits.composed_sets import EditQuery
from openalign.evaluate.tasks.composed.composed import COMBINED
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
from openalign.evaluate.tasks.edits.edits import EditExamples, edits_of, needs_of
from openalign.settings.limits import not_negative, short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

RECALL_AT = (1, 5, 10, 50)
SUBSET_RECALL_AT = (1, 2, 3)
MEAN = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class CirrTask:
    """Recall of edited images over the split, and among images that look alike (§7)."""

    kind: Literal["cirr"] = "cirr"
    """Which task: CIRR."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set of CIRR's form."""

    image_weight: float = 1.0
    """Weight of the image's embedding; the paper found 1 to 2 best (§7)."""

    text_weight: float = 2.0
    """Weight of the text's embedding, against `image_weight`."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        not_negative(image_weight=self.image_weight, text_weight=self.text_weight)


class CirrFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked and searched."""

    split: str
    num_queries: int
    num_gallery_images: int
    """Images of the split; a query does not find its own."""

    image_weight: float
    text_weight: float


def text_of(query: EditQuery) -> str:
    """Return the text of a query: CIRR has one caption of each."""
    return " ".join(query.captions)


def needs(task: CirrTask, dataset: Dataset) -> Needs:
    """Return all images and the queries' texts.

    Raises:
        InputError: the queries cannot be measured.
    """
    of = f"benchmark `{task.benchmark}`"
    edits = edits_of(dataset, task.benchmark)
    if len(edits.galleries) > 1:
        raise InputError(
            f"{of}: has categories: {', '.join(edits.galleries)}", hint="CIRR has none"
        )
    for query in edits.queries:
        if query.target not in query.group or query.target == query.reference:
            raise InputError(
                f"{of}: the group of query {query.id} lacks its target",
                hint="this task needs CIRR, which names images that look like the query's",
            )
    return needs_of(edits, text_of)


def measure(
    task: CirrTask, material: Material, sampling: Sampling
) -> Measured[CirrFacts, EditExamples]:
    """Return recall over the split and within the groups, of each method."""
    from openalign.evaluate.tasks.edits import cirr_measures

    return cirr_measures.measure(task, material, sampling)


def subset_recall_at(k: int) -> str:
    """Return the last part of the name of a recall within a group."""
    return f"subset_{recall_at(k)}"


def headline(task: FinishedTask[CirrFacts]) -> list[str]:
    """Return a line of the recalls over the split, and one of those within the groups."""
    prefix, results = f"cirr/{task.name}/{COMBINED}", task.results
    everywhere = percents(results.metric(f"{prefix}/{recall_at(k)}").value for k in RECALL_AT)
    in_group = percents(
        results.metric(f"{prefix}/{subset_recall_at(k)}").value for k in SUBSET_RECALL_AT
    )
    of = f"{task.name} {task.facts.split}, image and text"
    return [
        f"{of}: R@1/5/10/50 {everywhere} ({task.facts.num_queries:,} queries)",
        f"{of}: in the subset R@1/2/3 {in_group}",
    ]


def protocol(task: FinishedTask[CirrFacts]) -> str:
    """Say what a query is and what it searches."""
    facts = task.facts
    return (
        f"CIRR, split {facts.split}: {facts.num_queries:,} queries of an image and a text, "
        f"weighted {facts.image_weight:g} : {facts.text_weight:g}, over the "
        f"{facts.num_gallery_images:,} images but the query's own; in the subset, over the five "
        "others of its set."
    )


def _section(task: FinishedTask[CirrFacts], examples: EditExamples, tiles: "Tiles") -> TaskSection:
    from openalign.evaluate.tasks.edits import cirr_section

    return cirr_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=CirrTask,
    facts=CirrFacts,
    examples=EditExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/composed.md",
    hub_task="composed-image-retrieval",
    protocol=protocol,
)
