"""A toy task kind: the share of a split's images whose cosine with a prompt is positive."""

# [task]
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.evaluate.datasets.dataset import Dataset, check_splits
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    name_of,
)

if TYPE_CHECKING:
    from openalign.evaluate.drawing.metric_numbers import Number
    from openalign.evaluate.drawing.tiles import Tile, Tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTask:
    """The share of a split's images that lie on a prompt's side."""

    kind: Literal["prompt"] = "prompt"
    """Which task: a prompt."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`."""

    split: str = "test"
    """Its images are asked about."""

    prompt: str
    """The words."""


class PromptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What results.json keeps beside the metrics."""

    prompt: str


class PromptExamples(msgspec.Struct, frozen=True, kw_only=True):
    """What examples.json keeps for the report."""

    nearest: str


def needs(task: PromptTask, dataset: Dataset) -> Needs:
    """Say which images and texts are embedded. A split that is not there ends here."""
    check_splits(dataset, [task.split], of=f"benchmark `{task.benchmark}`")
    return Needs(splits={task.split}, texts={"prompts": [task.prompt]})


def measure(
    task: PromptTask, material: Material, sampling: Sampling
) -> Measured[PromptFacts, PromptExamples]:
    """Measure, on embeddings alone. A real kind imports its measures here, from a sibling."""
    from openalign.evaluate.metrics.resampled import Resampled
    from openalign.evaluate.results import Metric

    del sampling  # no interval: nothing is drawn
    chosen = material.benchmark.places_of(task.split)
    cosines = material.benchmark.image_GD[chosen] @ material.texts["prompts"][0]
    share = float((cosines > 0).mean())
    nearest = material.benchmark.images[int(chosen[cosines.argmax()])].name
    metric = Metric(
        name=f"prompt/{name_of(task)}/positive",
        value=share,
        low=share,
        high=share,
        n=len(cosines),
        chance=0.5,
    )
    return Measured(
        resampled=[Resampled(metric=metric)],
        facts=PromptFacts(prompt=task.prompt),
        examples=PromptExamples(nearest=nearest),
        shown={nearest},
    )


def headline(task: FinishedTask[PromptFacts]) -> list[str]:
    """Return the lines that a run ends with."""
    metric = task.results.metric(f"prompt/{task.name}/positive")
    return [f"{task.name}, {task.facts.prompt}: {metric.n} images"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSection:
    """What the template shows."""

    name: str
    prompt: str
    nearest: "Tile"
    opening: "Sequence[tuple[str, Number]]"


def section(
    task: FinishedTask[PromptFacts], examples: PromptExamples, tiles: "Tiles"
) -> PromptSection:
    """Return the task's part of the report."""
    from openalign.evaluate.drawing.metric_numbers import share_number

    metric = task.results.metric(f"prompt/{task.name}/positive")
    return PromptSection(
        name=task.name,
        prompt=task.facts.prompt,
        nearest=tiles.tile(examples.nearest),
        opening=[("positive", share_number(metric))],
    )


TEMPLATES = {
    "html": """\
{% import "macros.html" as draw %}
{% macro lede(task) %}Prompted with {{ task.prompt }}.{% endmacro %}
{% macro navigation(tasks) %}<li><a href="#prompt">Prompts</a></li>{% endmacro %}
{% macro sections(tasks, confidence) %}
<section id="prompt">
<h2>Prompts</h2>
{% for task in tasks %}<p>{{ task.prompt }} {{ draw.one(task.nearest) }}</p>{% endfor %}
</section>
{% endmacro %}
""",
    "md": """\
{% macro sections(tasks, confidence) %}
## Prompts

{% for task in tasks %}
- {{ task.prompt|cell }}
{% endfor %}
{% endmacro %}
""",
}

KIND = TaskKind(
    settings=PromptTask,
    facts=PromptFacts,
    examples=PromptExamples,
    needs=needs,
    measure=measure,
    section=section,
    template=TEMPLATES.__getitem__,
    headline=headline,
)
# [/task]
