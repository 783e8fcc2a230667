"""Composed queries (ALIGN §7): an image, minus words, plus words, and the image it leads to.

Names of metrics: composed/<task>/<kind of query>/<method>/top_K

The reading lies in `composed_queries`, the measuring in `composed_measures`, the report's section
in `composed_section`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    Material,
    Measured,
    Needs,
    QueryWeights,
    Sampling,
    TaskKind,
    TaskSection,
    template_of,
)
from openalign.settings.fields import location, renamed
from openalign.settings.limits import not_negative, short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles
    from openalign.evaluate.results import Metric

WORDS = "words"
"""What the task's own texts are called in file names."""

COMBINED = "combined"
IMAGE_ONLY = "image_only"
TEXT_ONLY = "text_only"
GAIN = "gain_over_image_only"


@renamed({"dataset": "write `benchmark: NAME`, with a name under `benchmarks:`"})
@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedTask:
    """Queries of an image plus and minus words (§7), with the image that must be found."""

    kind: Literal["composed"] = "composed"
    """Which task: composed queries."""

    name: str = "composed"
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`; all its images are searched."""

    path: str = location()
    """A JSON file of queries: image, minus, plus, target, kind."""

    image_weight: float = 1.0
    """Weight of the image's embedding; the paper found 1 to 2 best (§7)."""

    plus_weight: float = 2.0
    """Weight of the words to add, against `image_weight`."""

    minus_weight: float = 2.0
    """Weight of the words to take away, against `image_weight`."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        not_negative(
            image_weight=self.image_weight,
            plus_weight=self.plus_weight,
            minus_weight=self.minus_weight,
        )


class ComposedFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the queries were weighted, and what was searched."""

    kinds: tuple[str, ...]
    """Every kind of query, in the file's order."""

    num_queries: int
    num_gallery_images: int
    image_weight: float
    plus_weight: float
    minus_weight: float


class ComposedExample(msgspec.Struct, frozen=True, kw_only=True):
    """A composed query and the images found for it."""

    image: str
    minus: str
    plus: str
    target: str
    kind: str
    rank: int
    """Place of the target; 1 is the first."""

    image_only_rank: int
    """Place of the target for the image without words."""

    first: tuple[str, ...]


class ComposedExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Some queries of the set."""

    queries: tuple[ComposedExample, ...]


def needs(task: ComposedTask, dataset: Dataset) -> Needs:
    """Return the words of the queries; all images are searched.

    Raises:
        InputError: the file of queries cannot be used.
    """
    from openalign.evaluate.tasks.composed import composed_queries

    queries = composed_queries.read_queries(task.path, dataset.images, left_out=dataset.left_out)
    return Needs(splits=None, texts={WORDS: composed_queries.words_of(queries)})


def measure(
    task: ComposedTask, material: Material, sampling: Sampling
) -> Measured[ComposedFacts, ComposedExamples]:
    """Return top-K of combined, image-only and text-only queries, and the gain over image-only."""
    from openalign.evaluate.tasks.composed import composed_measures

    return composed_measures.measure(task, material, sampling)


def is_supported(gain: "Metric") -> bool:
    """Tell whether a gain may be claimed: its interval lies above zero."""
    return gain.low > 0.0


def headline(task: FinishedTask[ComposedFacts]) -> list[str]:
    """Return a line a kind of query: the gain in top-1 over the image alone."""
    lines: list[str] = []
    for kind in task.facts.kinds:
        gain = task.results.metric(f"composed/{task.name}/{kind}/{GAIN}/{top(1)}")
        words = "above" if is_supported(gain) else "not shown to be above"
        low, value, high = (f"{100 * part:+.1f}" for part in (gain.low, gain.value, gain.high))
        lines.append(
            f"{task.name}/{kind}, image plus and minus words: top-1 {words} "
            f"image alone ({value} points, {low} to {high})"
        )
    return lines


def protocol(task: FinishedTask[ComposedFacts]) -> str:
    """Say what a query is and what it searches."""
    facts = task.facts
    return (
        f"{facts.num_queries:,} queries of an image, plus words, minus words, weighted "
        f"{facts.image_weight:g} : {facts.plus_weight:g} : {facts.minus_weight:g}. The gallery "
        f"holds the {facts.num_gallery_images:,} images but the query's own."
    )


def top(k: int) -> str:
    """Return the last part of the name of a top-K."""
    return f"top_{k}"


def _section(
    task: FinishedTask[ComposedFacts], examples: ComposedExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.composed import composed_section

    return composed_section.section(task, examples, tiles)


def _fingerprint(task: ComposedTask) -> str:
    from openalign.files.storage import sha256_of

    return sha256_of(task.path)


def query_weights(task: ComposedTask) -> QueryWeights:
    """Return the weights of a task's queries, which searches of the run use too."""
    return QueryWeights(image=task.image_weight, plus=task.plus_weight, minus=task.minus_weight)


KIND = TaskKind(
    settings=ComposedTask,
    facts=ComposedFacts,
    examples=ComposedExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/composed.md",
    hub_task="composed-image-retrieval",
    protocol=protocol,
    fingerprint=_fingerprint,
    query_weights=query_weights,
)
