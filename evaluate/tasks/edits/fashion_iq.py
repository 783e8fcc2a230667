"""FashionIQ: an image of clothes, an edit in words, and the image it leads to.

Names of metrics: fashion_iq/<task>/<category or mean>/<method>/recall_at_K, and
fashion_iq/<task>/mean/<method>/mean

The measuring lies in `fashion_iq_measures` and `edits_measures`, the report's section in
`fashion_iq_section`.
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

RECALL_AT = (10, 50)
MEAN = "mean"

_AROUND = ".?, "
"""What the public scorer takes off both ends of a caption before it joins two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FashionIqTask:
    """Recall of edited images of clothes, category by category (§7)."""

    kind: Literal["fashion_iq"] = "fashion_iq"
    """Which task: FashionIQ."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set of FashionIQ's form."""

    image_weight: float = 1.0
    """Weight of the image's embedding; the paper found 1 to 2 best (§7)."""

    text_weight: float = 2.0
    """Weight of the text's embedding, against `image_weight`."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        not_negative(image_weight=self.image_weight, text_weight=self.text_weight)


class CategoryFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked and searched in one category."""

    num_queries: int
    num_gallery_images: int


class FashionIqFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked and searched."""

    split: str
    categories: dict[str, CategoryFacts]
    image_weight: float
    text_weight: float


def text_of(query: EditQuery) -> str:
    """Return the text of a query, which has two captions: `Is shiny and fit and flare`.

    They are joined by `and`, the first with a capital and the rest of it in lower case, as the
    public scorer does (CLIP4Cir).
    """
    parts = [caption.strip(_AROUND) for caption in query.captions]
    parts = [part for part in parts if part]
    return " and ".join([part.capitalize() for part in parts[:1]] + parts[1:])


def needs(task: FashionIqTask, dataset: Dataset) -> Needs:
    """Return all images and the queries' texts.

    Raises:
        InputError: the queries cannot be measured.
    """
    edits = edits_of(dataset, task.benchmark)
    for category in edits.galleries:
        if not category or "/" in category or category == MEAN:
            raise InputError(
                f"benchmark `{task.benchmark}`: has the category {category!r}",
                hint="this task needs FashionIQ, which has dresses, shirts and tops",
            )
    return needs_of(edits, text_of)


def measure(
    task: FashionIqTask, material: Material, sampling: Sampling
) -> Measured[FashionIqFacts, EditExamples]:
    """Return recall in each category of each method, and the means over categories."""
    from openalign.evaluate.tasks.edits import fashion_iq_measures

    return fashion_iq_measures.measure(task, material, sampling)


def headline(task: FinishedTask[FashionIqFacts]) -> list[str]:
    """Return a line: the means over categories."""
    prefix = f"fashion_iq/{task.name}/{MEAN}/{COMBINED}"
    found = percents(task.results.metric(f"{prefix}/{recall_at(k)}").value for k in RECALL_AT)
    num_queries = sum(each.num_queries for each in task.facts.categories.values())
    of = f"{task.name} {task.facts.split}, {', '.join(task.facts.categories)}"
    return [f"{of}, image and text: mean R@10/50 {found} ({num_queries:,} queries)"]


def protocol(task: FinishedTask[FashionIqFacts]) -> str:
    """Say what a query is and what it searches."""
    facts = task.facts
    galleries = ", ".join(
        f"{name} {each.num_gallery_images:,}" for name, each in facts.categories.items()
    )
    return (
        f"FashionIQ, split {facts.split}: queries of an image and two captions joined by `and`, "
        f"weighted {facts.image_weight:g} : {facts.text_weight:g}, over the images of the "
        f"category ({galleries}), the query's own among them."
    )


def _section(
    task: FinishedTask[FashionIqFacts], examples: EditExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.edits import fashion_iq_section

    return fashion_iq_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=FashionIqTask,
    facts=FashionIqFacts,
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
