"""Linear probe (ALIGN §5.3, the frozen row of Table 5): a linear head on embeddings that stay.

Names of metrics: probe/<task>/<top_1, top_5 or mean_per_class>

The measuring lies in `probe_measures`, the report's section in `probe_section`.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, check_labels, check_splits
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
)
from openalign.evaluate.tasks.per_class import MEAN_PER_CLASS, ClassifiedExamples
from openalign.settings.limits import not_negative, positive, positive_share, short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles

FEWEST_TRAIN = 2
"""Training images: one to fit on, and one to choose the penalty by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lbfgs:
    """Logistic regression whose L2 penalty is chosen on images that it has not seen, as in CLIP."""

    kind: Literal["lbfgs"] = "lbfgs"
    """Which method: L-BFGS."""

    validation_split: str = ""
    """Split that the penalty is chosen on; a part of the training split when empty. The head that
    is tested is fitted on both."""

    held_out_share: float = 0.1
    """Share of the training split that the penalty is chosen on where no split is named; drawn by
    the hash of the images' names."""

    lowest_decade: int = -6
    """The smallest penalty is ten to this."""

    highest_decade: int = 6
    """The largest penalty is ten to this."""

    steps_per_decade: int = 8
    """How finely penalties are told apart; a power of two. The search begins with every second
    decade, and halves its steps around the best."""

    max_iterations: int = 1000
    """Iterations after which a fit ends as it is."""

    def __post_init__(self) -> None:
        positive_share(held_out_share=self.held_out_share)
        positive(steps_per_decade=self.steps_per_decade, max_iterations=self.max_iterations)
        if self.held_out_share == 1:
            raise ValueError("held_out_share must be below 1: the rest is what is fitted on")
        if self.lowest_decade >= self.highest_decade:
            raise ValueError(
                f"lowest_decade must be below highest_decade, got {self.lowest_decade} and "
                f"{self.highest_decade}"
            )
        if self.steps_per_decade & (self.steps_per_decade - 1):
            raise ValueError(
                f"steps_per_decade must be a power of two, got {self.steps_per_decade}: the search "
                "halves its steps"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd:
    """The paper's recipe on frozen features (§5.3): momentum 0.9, a fixed schedule, no choice.

    Its resolutions and its augmentation do not apply: embeddings are made once, of whole images.
    """

    kind: Literal["sgd"] = "sgd"
    """Which method: stochastic gradient descent."""

    epochs: float = 100.0
    """Passes over the training images; the rate falls to a fifth after 30, 60 and 90 % of them."""

    batch_size: int = 1024
    """Images a step; a smaller set goes in whole."""

    learning_rate: float = 0.1
    """At the start, for features of unit variance, to which rows are scaled."""

    weight_decay: float = 0.0
    """Added to the gradient as this times the weights."""

    seed: int = 0
    """Seed of the images' order."""

    def __post_init__(self) -> None:
        positive(epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate)
        not_negative(weight_decay=self.weight_decay, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTask:
    """A linear classifier on frozen embeddings, fitted on one split and tested on another."""

    kind: Literal["probe"] = "probe"
    """Which task: a linear probe."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set with classes."""

    split: str = ""
    """Its images are classified; the data set's own test split when empty."""

    train_split: str = ""
    """Its images are learned from; the data set's own training split when empty."""

    method: Lbfgs | Sgd = field(default_factory=Lbfgs)
    """How the classifier is fitted."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)


class PenaltyTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One penalty, and what became of it on the images that were held out."""

    penalty: float
    num_right: int
    iterations: int
    converged: bool


class PenaltySweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the penalty was chosen, and what the tested head took."""

    held_out: str
    """What it was chosen on, in words."""

    num_fitted: int
    num_held_out: int
    trials: tuple[PenaltyTrial, ...]
    """The smallest penalty first."""

    penalty: float
    """The best one; of several, the largest."""

    iterations: int
    converged: bool


class Descended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a fixed recipe went."""

    steps: int
    batch_size: int
    learning_rate: float


class ProbeFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was learned from, and how."""

    split: str
    train_split: str
    num_images: int
    num_train_images: int
    """All that the tested head was fitted on."""

    num_classes: int
    num_unseen_classes: int
    """Classes without a training image; they are never right."""

    sweep: PenaltySweep | None
    """Of L-BFGS."""

    descended: Descended | None
    """Of SGD."""


def splits_of(task: ProbeTask, dataset: Dataset) -> tuple[str, str]:
    """Return the split that is classified and the split that is learned from."""
    return task.split or dataset.test_split, task.train_split or dataset.train_split


def validation_split_of(task: ProbeTask) -> str:
    """Return the split that the penalty is chosen on; empty where there is none."""
    return task.method.validation_split if isinstance(task.method, Lbfgs) else ""


def needs(task: ProbeTask, dataset: Dataset) -> Needs:
    """Return the splits.

    Raises:
        InputError: one is not there or stands for two things, an image has no class, or there are
            too few classes or training images.
    """
    of, (split, train_split) = f"benchmark `{task.benchmark}`", splits_of(task, dataset)
    validation_split = validation_split_of(task)
    splits = [split, train_split, *([validation_split] if validation_split else [])]
    for name in splits:
        if splits.count(name) > 1:
            raise InputError(
                f"{of}: split `{name}` has two parts to play, so what is learned is asked again",
                hint="`split`, `train_split` and `validation_split` are three splits",
            )
    check_splits(dataset, splits, of=of)
    check_labels(dataset, splits, of=of)
    if len(dataset.classes) < 2:
        raise InputError(f"{of}: a probe needs two classes, there is one")
    num_train = sum(image.split == train_split for image in dataset.images)
    if num_train < FEWEST_TRAIN:
        raise InputError(
            f"{of}: split `{train_split}` has {num_train} image, a probe needs {FEWEST_TRAIN}"
        )
    return Needs(splits=set(splits))


def measure(
    task: ProbeTask, material: Material, sampling: Sampling
) -> Measured[ProbeFacts, ClassifiedExamples]:
    """Return top-1, top-5 and the mean per class of a head that was fitted here."""
    from openalign.evaluate.tasks.probes import probe_measures

    return probe_measures.measure(task, material, sampling)


def headline(task: FinishedTask[ProbeFacts]) -> list[str]:
    """Return a line: top-1 and top-5, and what chance would reach."""
    facts, prefix = task.facts, f"probe/{task.name}"
    found = [m for m in task.results.under(prefix) if m.name != f"{prefix}/{MEAN_PER_CLASS}"]
    names = "/".join(metric.name.rpartition("_")[2] for metric in found)
    how = f"penalty {facts.sweep.penalty:g}" if facts.sweep else "SGD"
    line = (
        f"{task.name} {facts.split}, linear probe: top-{names} {percents(m.value for m in found)} "
        f"(chance {percents(m.chance for m in found)}; {facts.num_images:,} images, "
        f"{facts.num_classes:,} classes; {how}, {facts.num_train_images:,} training images)"
    )
    return [line]


def protocol(task: FinishedTask[ProbeFacts]) -> str:
    """Say what was fitted on what, and how."""
    facts = task.facts
    how = f"L-BFGS, penalty {facts.sweep.penalty:g}" if facts.sweep else "SGD, the paper's recipe"
    return (
        f"A linear classifier on embeddings that stay as they are, fitted by {how}, on "
        f"{facts.num_train_images:,} images of split {facts.train_split}, and tested once on split "
        f"{facts.split}. Crops and resolutions are not those of the paper."
    )


def _section(
    task: FinishedTask[ProbeFacts], examples: ClassifiedExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.probes import probe_section

    return probe_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=ProbeTask,
    facts=ProbeFacts,
    examples=ClassifiedExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    headline=headline,
    page="tasks/probes.md",
    hub_task="image-classification",
    protocol=protocol,
    learns=True,
)
