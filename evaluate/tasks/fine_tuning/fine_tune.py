"""Fine-tuning (ALIGN §5.3, Tables 5 to 7): the image tower with a head, trained on labels.

Names of metrics: fine_tune/<task>/<top_1, top_5, mean_per_class, std_over_runs or head_top_1>
                  fine_tune/all/<mean or a group of VTAB's>, fine_tune/all/<mean or a group>_std

The training lies in `tower_training`, the measuring in `fine_tune_measures`, the report's section
in `fine_tune_section`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, check_labels, check_splits
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import TASK_OF, TRAIN, task_called
from openalign.evaluate.tasks.contract import (
    OVERALL,
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    TaskSection,
    TrainingMaterial,
    TrainingTerms,
    name_of,
    template_of,
    with_noun,
)
from openalign.evaluate.tasks.per_class import ClassifiedExamples
from openalign.settings.limits import not_negative, short_name
from openalign.train.fine_tune.recipes import (
    FineGrainedRecipe,
    FineTuneEngine,
    ImageNetRecipe,
    VtabRecipe,
)

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles
    from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats
    from openalign.evaluate.metrics.resampled import Resampled

FEWEST_TRAIN = 2
"""Training images: batch norm needs two."""

VTAB_TASK = "vtab_task"
"""What results call the fact that says which of VTAB's tasks it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneTask:
    """The image tower and a new head, trained on one split and tested on another."""

    kind: Literal["fine_tune"] = "fine_tune"
    """Which task: fine-tuning on labels."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set with classes."""

    split: str = ""
    """Its images are classified; the data set's own test split when empty."""

    train_splits: tuple[str, ...] = ()
    """Their images are trained on, such as [train, val]; when empty, the data set's own training
    split, or with VTAB's recipe `train800`."""

    recipe: ImageNetRecipe | FineGrainedRecipe | VtabRecipe = field(
        default_factory=FineGrainedRecipe
    )
    """How the network is trained."""

    seed: int = 0
    """Seed of the order of images, of crops, of what is dropped, and of settings that are tried."""

    engine: FineTuneEngine = field(default_factory=FineTuneEngine)
    """How the steps are taken, by the processes that `evaluate.num_processes` starts."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        if name_of(self) == OVERALL:
            raise ValueError(f"name must not be `{OVERALL}`: means over all tasks are called so")
        not_negative(seed=self.seed)


class FineTuneTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that were drawn, and what became of them on the validation split.

    What is None was not noted: the result is of an earlier version.
    """

    settings: dict[str, float]
    num_right: int
    """0 where the training diverged."""

    seed: int | None = None
    """Of the order of images, of crops, and of what was dropped and mixed."""

    num_skipped: int | None = None
    """Steps that changed nothing: their loss or gradient was not finite."""

    diverged: bool | None = None


class FineTuneStage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of a run's stage on the test images."""

    steps: int
    num_skipped: int
    num_right: int
    mean_per_class: float
    """The mean over classes of the share that is right."""


class FineTuneRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run whose numbers are part of the means."""

    seed: int
    """Of the order of images, of crops, and of what was dropped and mixed."""

    stages: tuple[FineTuneStage, ...]


class FineTuneFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was trained on, and how."""

    split: str
    train_splits: tuple[str, ...]
    num_images: int
    num_train_images: int
    num_classes: int
    num_unseen_classes: int
    """Classes without a training image; they are never right."""

    recipe: str
    """Its kind."""

    steps: tuple[int, ...]
    """Of each stage."""

    num_skipped: int | None = None
    """Steps of all runs together that changed nothing: their loss or gradient was not finite. None
    where an earlier version did not note it."""

    batch_size: int
    train_px: tuple[int, ...]
    eval_px: tuple[int, ...]
    """Sides of crops, of each stage."""

    run_right: tuple[int, ...]
    """Test images that each run is right for."""

    trials: tuple[FineTuneTrial, ...] = ()
    """In the order in which they were drawn; only VTAB's recipe tries settings."""

    num_val_images: int = 0
    """What they were judged by; among the training images of the runs."""

    chosen: int = 0
    """Place of the best trial; of several, the first."""

    runs: tuple[FineTuneRun, ...] = ()
    """Each of the runs, in their order."""

    task: str = msgspec.field(default="", name=VTAB_TASK)
    """Which of VTAB's 19 tasks it is; empty for another data set, and for another recipe."""

    @property
    def num_test(self) -> int:
        """Images that runs are tested on."""
        return self.num_images


def splits_of(task: FineTuneTask, dataset: Dataset) -> tuple[str, tuple[str, ...]]:
    """Return the split that is classified and the splits that are trained on in the end.

    With VTAB's recipe the last of these is the one that settings are chosen by before.
    """
    train_splits = task.train_splits or (dataset.train_split,)
    if isinstance(task.recipe, VtabRecipe):
        train_splits = (*(task.train_splits or (TRAIN,)), task.recipe.validation_split)
    return task.split or dataset.test_split, train_splits


def vtab_task_of(task: FineTuneTask, *, num_classes: int) -> str:
    """Return which of VTAB's 19 tasks it is, by its benchmark's name; empty where it is none.

    It has VTAB's recipe, and as many classes as are published.
    """
    name = task_called(task.benchmark)
    published = TASK_OF.get(name)
    is_one = published is not None and published.num_classes == num_classes
    return name if is_one and isinstance(task.recipe, VtabRecipe) else ""


def needs(task: FineTuneTask, dataset: Dataset) -> Needs:
    """Return the splits.

    Raises:
        InputError: one is not there or has two parts to play, an image has no class, or there are
            too few classes or training images.
    """
    of, (split, train_splits) = f"benchmark `{task.benchmark}`", splits_of(task, dataset)
    splits = [split, *train_splits]
    for name in splits:
        if splits.count(name) > 1:
            raise InputError(
                f"{of}: split `{name}` has two parts to play, so what is learned is asked again",
                hint="`split`, `train_splits` and `recipe.validation_split` are different splits",
            )
    check_splits(dataset, splits, of=of)
    check_labels(dataset, splits, of=of)
    if len(dataset.classes) < 2:
        raise InputError(f"{of}: fine-tuning needs two classes, there is one")
    num_train = sum(image.split in train_splits for image in dataset.images)
    if num_train < FEWEST_TRAIN:
        raise InputError(
            f"{of}: there is {num_train} image to train on, fine-tuning needs {FEWEST_TRAIN}"
        )
    return Needs(splits=set(splits))


def check_training(task: FineTuneTask, terms: TrainingTerms) -> None:
    """Check that the processes can share the batches, and that the tower can take the crops.

    Raises:
        ConfigError: a batch cannot be cut into blocks, or has fewer than there are processes.
        InputError: the model's tower cannot take crops of a side.
    """
    from openalign.evaluate.tasks.fine_tuning import fine_tune_measures

    fine_tune_measures.check_training(task, terms)


def train(task: FineTuneTask, material: TrainingMaterial) -> object:
    """Return what each run of the recipe says of the test images; all ranks must call this."""
    from openalign.evaluate.tasks.fine_tuning import fine_tune_measures

    return fine_tune_measures.train(task, material)


def measure(
    task: FineTuneTask, material: Material, sampling: Sampling
) -> Measured[FineTuneFacts, ClassifiedExamples]:
    """Return top-1, top-5 and the mean per class, as means over runs."""
    from openalign.evaluate.tasks.fine_tuning import fine_tune_measures

    return fine_tune_measures.measure(task, material, sampling)


def overall(
    tasks: Sequence[FinishedTask[FineTuneFacts]],
    resamples: Mapping[str, "Floats"],
    bootstrap: "Bootstrap",
) -> Sequence["Resampled"]:
    """Return the means over VTAB's 19 tasks and over each group, of those that are complete."""
    from openalign.evaluate.tasks import vtab_means

    return vtab_means.metrics("fine_tune", tasks, resamples, bootstrap)


def headline(task: FinishedTask[FineTuneFacts]) -> list[str]:
    """Return a line: top-1 after each stage, and what chance would reach."""
    facts, prefix = task.facts, f"fine_tune/{task.name}"
    top = task.results.metric(f"{prefix}/top_1")
    heads = [m for m in task.results.under(prefix) if m.name == f"{prefix}/head_top_1"]
    of_head = "".join(f", with the head alone {100 * head.value:.1f}" for head in heads)
    line = (
        f"{task.name} {facts.split}, fine-tuned: top-1 {100 * top.value:.1f}{of_head} (chance "
        f"{100 * top.chance:.1f}; {facts.num_images:,} images, {facts.num_classes:,} classes; "
        f"{facts.recipe}, {facts.num_train_images:,} training images, "
        f"{with_noun(len(facts.run_right), 'run')})"
    )
    return [line]


def protocol(task: FinishedTask[FineTuneFacts]) -> str:
    """Say what was trained on what, and how."""
    facts = task.facts
    stages = " and ".join(
        f"{steps:,} steps at {train_px} px"
        for steps, train_px in zip(facts.steps, facts.train_px, strict=True)
    )
    not_finite = ""
    if facts.num_skipped:
        not_finite = f" {with_noun(facts.num_skipped, 'step')} changed nothing: not finite."
    trained = "The head alone, then all layers,"
    if facts.trials:
        trained = (
            f"{with_noun(len(facts.trials), 'trial')} of all layers, judged by "
            f"{facts.num_val_images:,} images, chose the settings; then all layers"
        )
    return (
        f"{trained} were trained on {facts.num_train_images:,} images of "
        f"{', '.join(facts.train_splits)} by SGD: {stages}, {facts.batch_size:,} images a step."
        f"{not_finite} "
        f"Tested on split {facts.split}, at {' and '.join(map(str, facts.eval_px))} px; the mean "
        f"of {with_noun(len(facts.run_right), 'run')}."
    )


def _section(
    task: FinishedTask[FineTuneFacts], examples: ClassifiedExamples, tiles: "Tiles"
) -> TaskSection:
    from openalign.evaluate.tasks.fine_tuning import fine_tune_section

    return fine_tune_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=FineTuneTask,
    facts=FineTuneFacts,
    examples=ClassifiedExamples,
    needs=needs,
    check_training=check_training,
    train=train,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    overall=overall,
    headline=headline,
    page="tasks/fine-tuning.md",
    hub_task="image-classification",
    protocol=protocol,
    learns=True,
)
