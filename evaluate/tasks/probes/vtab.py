"""VTAB-1k on frozen features (ALIGN §5.3, Table 6): one of its 19 tasks, swept and retrained.

Names of metrics: vtab/<task>/<top_1 or std_over_runs>
                  vtab/all/<mean or a group>, vtab/all/<mean or a group>_std

The measuring lies in `vtab_measures`, means over tasks in `vtab_means`, the report's section in
`vtab_section`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset, check_labels, check_splits
from openalign.evaluate.datasets.labels.vtab.vtab import VtabDataset
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import (
    NUM_TRAIN,
    NUM_VAL,
    TASK_OF,
    TEST,
    TRAIN,
    VAL,
    Group,
    VtabTask,
    task_called,
)
from openalign.evaluate.tasks.contract import (
    OVERALL,
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
    TaskSection,
    name_of,
    template_of,
    with_noun,
)
from openalign.evaluate.tasks.per_class import ConfusedPair
from openalign.settings.fields import runtime
from openalign.settings.limits import not_negative, positive, short_name

if TYPE_CHECKING:
    from openalign.evaluate.drawing.tiles import Tiles
    from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats
    from openalign.evaluate.metrics.resampled import Resampled


@dataclass(frozen=True, slots=True, kw_only=True)
class VtabProbeTask:
    """One of VTAB's 19 tasks: a head on frozen embeddings, learned from 1,000 images (§5.3)."""

    kind: Literal["vtab"] = "vtab"
    """Which task: one of VTAB-1k."""

    name: str = ""
    """What results and the report call it; the benchmark's name when empty."""

    benchmark: str
    """A name under `benchmarks:`, of a data set with the splits `train800`, `val200` and `test`."""

    task: str = ""
    """Which of the 19 it is, such as `caltech101`; the benchmark's name, without `vtab_` before it,
    when empty."""

    trials: int = 50
    """Settings that are tried on 800 images and judged by 200 (§5.3)."""

    runs: int = 3
    """How often the best settings are trained on the 1,000 images; the score is the mean (§5.3)."""

    seed: int = 0
    """Seed of the trials' settings, and of the order of images and the dropped features."""

    num_processes: int = runtime(0)
    """Processes that trials are spread over; 0 means one a core."""

    def __post_init__(self) -> None:
        if self.name:
            short_name(name=self.name)
        if name_of(self) == OVERALL:
            raise ValueError(f"name must not be `{OVERALL}`: means over all tasks are called so")
        positive(trials=self.trials, runs=self.runs)
        not_negative(seed=self.seed, num_processes=self.num_processes)
        if called(self) not in TASK_OF:
            what = f"task must be one of {', '.join(TASK_OF)}, got {called(self)!r}"
            raise ValueError(what if self.task else f"{what}, the benchmark's name: name a `task`")


def by_default(benchmark: str, dataset: DatasetSettings) -> VtabProbeTask:
    """Return the task that a data set of VTAB's is, whatever the benchmark is called."""
    task = dataset.task if isinstance(dataset, VtabDataset) else ""
    return VtabProbeTask(benchmark=benchmark, task=task)


def called(task: VtabProbeTask) -> str:
    """Return the name of the VTAB task that is measured."""
    return task.task or task_called(task.benchmark)


class VtabTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that were drawn, and what became of them on the 200 images."""

    learning_rate: float
    updates: int
    dropout: float
    decay: float
    """Towards the initial weights, which are zero."""

    num_right: int


class VtabFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which task it was, what was tried, and what each run reached."""

    task: str
    group: Group
    num_classes: int
    num_unseen_classes: int
    """Classes without an image among the 1,000; they are never right."""

    num_train: int
    num_val: int
    num_test: int
    trials: tuple[VtabTrial, ...]
    """In the order in which they were drawn."""

    chosen: int
    """Place of the best trial; of several, the first."""

    run_right: tuple[int, ...]
    """Test images that each run is right for."""

    @property
    def split(self) -> str:
        """The split that is tested."""
        return TEST

    @property
    def is_whole(self) -> bool:
        """Whether the splits have their published sizes."""
        whole = (NUM_TRAIN, NUM_VAL, TASK_OF[self.task].num_test)
        return (self.num_train, self.num_val, self.num_test) == whole


class VtabExamples(msgspec.Struct, frozen=True, kw_only=True):
    """The classes that the first run confused most often."""

    confused: tuple[ConfusedPair, ...]


def needs(task: VtabProbeTask, dataset: Dataset) -> Needs:
    """Return the three splits.

    Raises:
        InputError: one is not there, an image has no class, or the classes are not the task's.
    """
    of, splits = f"benchmark `{task.benchmark}`", (TRAIN, VAL, TEST)
    check_splits(dataset, splits, of=of)
    check_labels(dataset, splits, of=of)
    published: VtabTask = TASK_OF[called(task)]
    if len(dataset.classes) != published.num_classes:
        raise InputError(
            f"{of}: has {len(dataset.classes)} classes, VTAB's {published.title} has "
            f"{published.num_classes}",
            hint="name the task that the data set is, with `task:`",
        )
    return Needs(splits=set(splits))


def measure(
    task: VtabProbeTask, material: Material, sampling: Sampling
) -> Measured[VtabFacts, VtabExamples]:
    """Return the mean accuracy over runs on the whole test set, and how far runs lie apart."""
    from openalign.evaluate.tasks.probes import vtab_measures

    return vtab_measures.measure(task, material, sampling)


def overall(
    tasks: Sequence[FinishedTask[VtabFacts]],
    resamples: Mapping[str, "Floats"],
    bootstrap: "Bootstrap",
) -> Sequence["Resampled"]:
    """Return the means over all 19 tasks and over each group, of those that are complete."""
    from openalign.evaluate.tasks import vtab_means

    return vtab_means.metrics("vtab", tasks, resamples, bootstrap)


def headline(task: FinishedTask[VtabFacts]) -> list[str]:
    """Return a line: top-1 as a mean over runs, and what chance would reach."""
    facts, prefix = task.facts, f"vtab/{task.name}"
    top = task.results.metric(f"{prefix}/top_1")
    deviation = task.results.metric(f"{prefix}/std_over_runs")
    line = (
        f"{task.name}, VTAB's {TASK_OF[facts.task].title}, frozen features: top-1 "
        f"{100 * top.value:.1f} +/- {100 * deviation.value:.1f} over "
        f"{with_noun(len(facts.run_right), 'run')} "
        f"(chance {100 * top.chance:.1f}; {facts.num_test:,} images)"
    )
    return [line]


def protocol(task: FinishedTask[VtabFacts]) -> str:
    """Say what was tried and how often it was trained."""
    facts = task.facts
    words = (
        f"VTAB-1k's {TASK_OF[facts.task].title} on frozen features: "
        f"{with_noun(len(facts.trials), 'trial')} on {facts.num_train:,} images, judged by "
        f"{facts.num_val:,}; the best is trained on all of them in "
        f"{with_noun(len(facts.run_right), 'run')} and tested once on {facts.num_test:,} images. "
        "The paper fine-tunes all layers."
    )
    return words if facts.is_whole else f"{words} The splits are not of the published sizes."


def _section(task: FinishedTask[VtabFacts], examples: VtabExamples, tiles: "Tiles") -> TaskSection:
    from openalign.evaluate.tasks.probes import vtab_section

    return vtab_section.section(task, examples, tiles)


KIND = TaskKind(
    settings=VtabProbeTask,
    facts=VtabFacts,
    examples=VtabExamples,
    needs=needs,
    measure=measure,
    section=_section,
    template=template_of(__name__),
    overall=overall,
    headline=headline,
    page="tasks/probes.md",
    hub_task="image-classification",
    protocol=protocol,
    by_default=by_default,
)
