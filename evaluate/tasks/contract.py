"""What a task kind offers, and the records that it and the stage hand to each other.

A benchmark is a data set with a name. A task is what is measured on it. Several tasks share a
benchmark and its embeddings, which are made once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset

if TYPE_CHECKING:
    from openalign.evaluate.drawing.metric_numbers import Number
    from openalign.evaluate.drawing.tiles import Tiles
    from openalign.evaluate.metrics.bootstrap import Bootstrap, Floats
    from openalign.evaluate.metrics.resampled import Resampled
    from openalign.evaluate.metrics.vectors import Vectors
    from openalign.evaluate.results import Metric, Results
    from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark
    from openalign.train.ranks import RankGroup

OVERALL = "all"
"""What stands for a task's name in metrics over all tasks of a kind."""

RECALL_AT = (1, 5, 10)
"""The K of the paper's tables."""


class TaskSettings(Protocol):
    """What the settings of every kind have."""

    @property
    def kind(self) -> str:
        """Name of the kind, as the table has it."""
        ...

    @property
    def name(self) -> str:
        """What results and the report call the task; the benchmark's name when empty."""
        ...

    @property
    def benchmark(self) -> str:
        """Name of the benchmark, a key of `benchmarks:`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryWeights:
    """How much each part of a composed query counts; the paper found 1 to 2 best (§7)."""

    image: float = 1.0
    plus: float = 2.0
    minus: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a task needs embedded."""

    splits: AbstractSet[str] | None
    """Splits whose images are needed; None for all images, an empty set for no image."""

    captions: bool = False
    """Whether the captions of those images are needed."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """The task's own texts, such as prompts, by what they are called in file names."""

    unprojected: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Texts whose state before the projection is needed, by what they are called in file names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a task measures: embeddings, made once and shared."""

    benchmark: "EmbeddedBenchmark"
    """The images that any task of the benchmark needs, in the data set's order."""

    texts: Mapping[str, "Vectors"]
    """A unit row for each of the texts of `Needs.texts`."""

    unprojected: Mapping[str, "Vectors"] = field(default_factory=dict[str, "Vectors"])
    """A unit row for each of the texts of `Needs.unprojected`."""

    temperature: float | None = None
    """What the model learned to divide cosines by (Eq. 1); None where it is not known."""

    work: str = ""
    """A folder of the task's own, for what a measure that was killed goes on from."""

    trained: object = None
    """What the kind's `train` returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTerms:
    """What is known of a task's training before anything is embedded."""

    dataset: Dataset
    """The images that are there, those among them that cannot be decoded."""

    model: str
    """URL of the model's folder."""

    num_processes: int
    fast: bool
    """As `Sampling.fast`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMaterial:
    """What a task that trains the model itself learns from, on every rank."""

    dataset: Dataset
    """The images that are there."""

    model: str
    """URL of the model's folder."""

    processor: str
    """URL of the folder that says how images are prepared; empty for the model's own."""

    weights: str
    """Hash of the model."""

    preprocess: str
    """Hash of how images are prepared."""

    images: str
    """Hash of the data set and the bytes of its images."""

    work: str
    """A folder of the task's own, for what a run that was killed goes on from."""

    ranks: "RankGroup"
    """DeepSpeed's; all of them train together."""

    fast: bool
    """As `Sampling.fast`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How intervals and examples are drawn."""

    bootstrap: "Bootstrap"
    num_examples: int

    fast: bool = False
    """Whether this is a smoke run: the fewest trials and repetitions that end in numbers."""


S = TypeVar("S", bound=TaskSettings)
F = TypeVar("F", bound=msgspec.Struct)
E = TypeVar("E", bound=msgspec.Struct)
Facts = TypeVar("Facts")  # a kind's record, or what several kinds' records have in common


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Generic[F, E]):
    """What a task found."""

    resampled: Sequence["Resampled"]
    """The metrics, each with its values in the resamples."""

    facts: F
    """How large the task was, for the report and the headline."""

    examples: E
    """Some queries with their first results, for the report."""

    shown: AbstractSet[str]
    """Names of the images that the examples show."""

    @property
    def metrics(self) -> list["Metric"]:
        """The metrics alone."""
        return [each.metric for each in self.resampled]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTask(Generic[Facts]):
    """A task in a complete result."""

    name: str
    benchmark: str
    facts: Facts
    results: "Results"
    """All results of the stage; the task's metrics lie below `<kind>/<name>/`."""


class TaskSection(Protocol):
    """What a kind's template shows of one task."""

    @property
    def opening(self) -> Sequence[tuple[str, "Number"]]:
        """Numbers that the page opens with, each with what it is; may be empty."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind(Generic[S, F, E]):
    """One way of measuring a model on a benchmark."""

    settings: type[S]
    facts: type[F]
    """Its field `split`, where it has one, is the split that numbers are of."""

    examples: type[E]

    needs: Callable[[S, Dataset], Needs]
    """Check a task against its data set and say what it needs. Raises InputError."""

    measure: Callable[[S, Material, Sampling], Measured[F, E]]
    """Return the numbers and examples. Pure on what it is given: no model is at hand."""

    section: Callable[[FinishedTask[F], E, "Tiles"], TaskSection]
    """Return what the template shows of one task."""

    template: Callable[[str], str]
    """Return the kind's fragment of the report, for `html` or `md`. It defines three macros:
    `lede(task)` (a sentence before the opening numbers), `navigation(tasks)` (HTML only) and
    `sections(tasks, confidence)`. `tasks` are the sections of all tasks of the kind, or none."""

    overall: Callable[
        [Sequence[FinishedTask[F]], Mapping[str, "Floats"], "Bootstrap"], Sequence["Resampled"]
    ] = lambda *_: ()
    """Return what is measured over all tasks of the kind, such as a mean over data sets, of the
    tasks and of their metrics' values in the resamples, by name. Names begin with `<kind>/all/`."""

    headline: Callable[[FinishedTask[F]], Sequence[str]] = lambda _: ()
    """Return the lines that a run ends with."""

    page: str = ""
    """The page of `docs/` that says the protocol and its traps."""

    hub_task: str = ""
    """What the Hugging Face Hub calls such a task; the kind's name when empty."""

    protocol: Callable[[FinishedTask[F]], str] = lambda _: ""
    """Return in a few sentences how a task was measured, for a model card."""

    by_default: Callable[[str, DatasetSettings], S] | None = None
    """Return the task on a benchmark, by its name and its data set's settings, that is measured
    when nobody says more; None for a kind whose settings have defaults for all the rest. Raises
    ValueError as settings do."""

    train: Callable[[S, TrainingMaterial], object] | None = None
    """Train the model itself on the benchmark, before anything is measured; all ranks call it.
    What rank 0 returns is `Material.trained`. None for a kind that leaves the model as it is."""

    check_training: Callable[[S, TrainingTerms], None] | None = None
    """Check what `train` will need, before anything is embedded. Raises ConfigError, InputError."""

    learns: bool = False
    """Whether it needs a training split beside the split that it is measured on."""

    fingerprint: Callable[[S], str] | None = None
    """Return the hash of what the task reads beside its benchmark; None where it reads nothing."""

    query_weights: Callable[[S], QueryWeights] | None = None
    """Return the weights that search uses by default; None where the kind has none."""


def template_of(module: str) -> Callable[[str], str]:
    """Return the `template` of a kind: the files `templates/<kind>.<form>` beside its module."""
    room, _, kind = module.rpartition(".")

    def template(form: str) -> str:
        return (files(room) / "templates" / f"{kind}.{form}").read_text(encoding="utf-8")

    return template


def recall_at(k: int) -> str:
    """Return the last part of the name of a recall."""
    return f"recall_at_{k}"


def percents(values: Iterable[float]) -> str:
    """Return shares in percent, as a headline has them."""
    return " / ".join(f"{100 * value:.1f}" for value in values)


def with_noun(number: int, noun: str) -> str:
    """Return a number with its noun: `1 run`, `1,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def name_of(task: TaskSettings) -> str:
    """Return what results and the report call a task; it is unique among tasks of its kind."""
    return task.name or task.benchmark


def key_of(task: TaskSettings) -> str:
    """Return what a task is called among tasks of all kinds: how its metrics' names begin."""
    return f"{task.kind}/{name_of(task)}"
