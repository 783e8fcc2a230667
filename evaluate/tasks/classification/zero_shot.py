"""Zero-shot classification (ALIGN §5.2): an image goes to the class whose prompts lie nearest.

Names of metrics: zero_shot/<task>/<top_1, top_5 or mean_per_class>

The prompts are made in `zero_shot_prompts`, the measuring lies in `zero_shot_measures`, the
report's section in `zero_shot_section`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.evaluate.datasets.dataset import Dataset, check_labels, check_names, check_splits
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    TaskSection,
    percents,
    template_of,
    with_noun,
)
from openalign.evaluate.tasks.per_class import MEAN_PER_CLASS, ClassifiedExamples
from openalign.settings.fields import location
from openalign.settings.limits import short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

PROMPTS = "prompts"
"""What the task's own texts are called in file names."""

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotTask:
    """Zero-shot classification of a labelled split by prompts that name the classes (§5.2)."""

    kind: Literal["zero_shot"] = "zero_shot"
    """Which task: zero-shot classification."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set with classes."""

    split: str = ""
    """Its images are classified; the data set's own test split when empty."""

    templates: str | tuple[str, ...] = location(AUTO)
    """Prompts, with `{}` for the class's name: the name of a known list, a text file with a
    template a line, or the templates themselves. `auto` takes the data set's own, else the list
    known for the benchmark's name, else `a photo of a {}.` alone."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        if not self.templates:
            raise ValueError(f"templates must not be empty: write `{AUTO}`, or name some")


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images whose confidence lies in one range."""

    num_images: int
    confidence: float
    """Mean probability of the first class."""

    accuracy: float
    """Share that the first class is right for."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What probabilities are worth that are made with the model's own temperature (Eq. 1)."""

    temperature: float
    error: float
    """Expected calibration error: the mean distance of confidence and accuracy over the bins,
    weighted by their images."""

    confidence: float
    accuracy: float
    bins: tuple[ReliabilityBin, ...]
    """Ranges of confidence of one width that hold images, the lowest first."""


class ZeroShotFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked, and by which prompts."""

    split: str
    num_images: int
    num_classes: int
    num_empty_classes: int
    """Classes without an image in the split; images may be taken for them."""

    shared_names: tuple[str, ...]
    """Names that several classes have, which prompts cannot tell apart."""

    templates: tuple[str, ...]
    templates_from: str
    """Where the templates are from, in words."""

    num_prompts: int
    calibration: Calibration | None
    """None where the model has no temperature."""


def split_of(task: ZeroShotTask, dataset: Dataset) -> str:
    """Return the split that is classified."""
    return task.split or dataset.test_split


def needs(task: ZeroShotTask, dataset: Dataset) -> Needs:
    """Return the split's images and the prompts of all classes.

    Raises:
        InputError: the split is not there, an image has no class or a class no name, or the
            templates cannot be used.
    """
    from openalign.evaluate.tasks.classification import zero_shot_prompts

    of, split = f"benchmark `{task.benchmark}`", split_of(task, dataset)
    check_splits(dataset, [split], of=of)
    check_labels(dataset, [split], of=of)
    check_names(dataset, of=of)
    templates = zero_shot_prompts.templates_for(task, dataset)
    prompts = zero_shot_prompts.prompts_of(dataset.classes, templates.texts)
    return Needs(splits={split}, texts={PROMPTS: prompts})


def measure(
    task: ZeroShotTask, material: Material, sampling: Sampling
) -> Measured[ZeroShotFacts, ClassifiedExamples]:
    """Return top-1, top-5 and the mean per class, and what the model's temperature is worth."""
    from openalign.evaluate.tasks.classification import zero_shot_measures

    return zero_shot_measures.measure(task, material, sampling)


def headline(task: FinishedTask[ZeroShotFacts]) -> list[str]:
    """Return a line: top-1 and top-5, and what chance would reach."""
    facts = task.facts
    prefix = f"zero_shot/{task.name}"
    found = [m for m in task.results.under(prefix) if m.name != f"{prefix}/{MEAN_PER_CLASS}"]
    names = "/".join(metric.name.rpartition("_")[2] for metric in found)
    templates = with_noun(len(facts.templates), "template")
    line = (
        f"{task.name} {facts.split}, zero-shot: top-{names} "
        f"{percents(m.value for m in found)} (chance {percents(m.chance for m in found)}; "
        f"{facts.num_images:,} images, {facts.num_classes:,} classes, {templates})"
    )
    return [line]


def protocol(task: FinishedTask[ZeroShotFacts]) -> str:
    """Say what was classified by which prompts."""
    facts = task.facts
    return (
        f"The {facts.num_images:,} images of split {facts.split} go to the nearest of "
        f"{facts.num_classes:,} classes; nothing is trained. A class is the mean of its prompts: "
        f"{with_noun(len(facts.templates), 'template')} ({facts.templates_from}), with every name."
    )


def _section(
    task: FinishedTask[ZeroShotFacts], examples: ClassifiedExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.classification import zero_shot_section

    return zero_shot_section.section(task, examples, tiles)


def _fingerprint(task: ZeroShotTask) -> str:
    from openalign.evaluate.tasks.classification import zero_shot_prompts

    return zero_shot_prompts.fingerprint(task)


KIND = TaskKind(
    settings=ZeroShotTask,
    facts=ZeroShotFacts,
    examples=ClassifiedExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/classification.md",
    hub_task="zero-shot-image-classification",
    protocol=protocol,
    fingerprint=_fingerprint,
)
