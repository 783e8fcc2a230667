"""Settings of `evaluate`: which tasks are measured, and how sure the numbers must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.embedding.decodings import Decoding
from openalign.evaluate.tasks.contract import key_of
from openalign.evaluate.tasks.kinds import AnyTask
from openalign.settings.fields import identity, location, renamed, runtime
from openalign.settings.limits import not_negative, positive

_BENCHMARKS = (
    "name the data set under `benchmarks:` and what is measured on it under `evaluate.tasks:`, "
)


@renamed(
    {
        "datasets": _BENCHMARKS + "for example `benchmarks: {flickr30k: {kind: karpathy, path: "
        "dataset_flickr30k.json}}` and `evaluate: {tasks: [{kind: retrieval, benchmark: "
        "flickr30k}]}`",
        "composed": _BENCHMARKS + "for example `evaluate: {tasks: [{kind: composed, name: edits, "
        "benchmark: flickr30k, path: composed.json}]}`",
    }
)
@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """What is measured on the pipeline's benchmarks, and how intervals are drawn."""

    model: str = location("")
    """Folder or URL of the model that is measured, in Hugging Face's form; the one that the
    pipeline trains when empty. With it, nothing is read of the stages before."""

    processor: str = location("")
    """Folder or URL of the tokenizer and the image processor, for a model that was saved without
    them; the model's own folder when empty."""

    decoding: Decoding = "auto"
    """How images are decoded: as training does (`ours`), as the model's Hugging Face processor does
    (`processor`), or the one for our exports and the other for all other models (`auto`)."""

    allow_missing: bool = runtime(default=False)
    """Whether images of a benchmark that are not there are counted and left out; else they are an
    error, before anything is embedded."""

    tasks: tuple[AnyTask, ...] = ()
    """What is measured, each on one of the pipeline's `benchmarks`; the images that tasks need are
    what `search` finds."""

    searched: tuple[str, ...] = ()
    """Benchmarks whose images `search` finds all, whether a task needs them or not."""

    bootstrap_resamples: int = 1000
    """How often the queries are drawn anew for each interval."""

    confidence: float = 0.95
    """Share of the resampled values that an interval holds."""

    seed: int = 0
    """Seed of the resampling."""

    num_examples: int = 48
    """How many queries a task hands to the report with their first results."""

    batch_size: int = 0
    """Images or texts a forward pass; 0 takes as many as fit into 4 GiB, by the model's largest
    layer. It can change the last bit of an embedding."""

    fast: bool = False
    """Whether this is a smoke run: of each split its first 64 images, and one of each class."""

    max_bad_images: int = runtime(0)
    """Images that may be left out because they cannot be decoded; results name them, and queries
    about them are dropped."""

    num_processes: int = runtime(1)
    """Processes on this machine that embed, one a GPU at most; 0 means one a GPU. Without a GPU
    each uses four cores."""

    decode_threads: int = runtime(4)
    """Threads of a process that read and decode images ahead of the model, of either kind."""

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to embed."""
        return not (self.tasks or self.searched)

    def __post_init__(self) -> None:
        if self.processor and not self.model:
            raise ValueError("processor is for a model that `model` names, and there is none")
        names = [key_of(task) for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"tasks of a kind must have different names, got {', '.join(twice)} twice: "
                "give one of them a `name:`"
            )
        positive(
            bootstrap_resamples=self.bootstrap_resamples,
            num_examples=self.num_examples,
            decode_threads=self.decode_threads,
        )
        not_negative(
            batch_size=self.batch_size,
            max_bad_images=self.max_bad_images,
            num_processes=self.num_processes,
        )
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(
                f"confidence must be above 0 and below 1, got {self.confidence}: it is a share"
            )


def benchmarks_used(
    config: EvaluateConfig, benchmarks: Mapping[str, DatasetSettings]
) -> dict[str, DatasetSettings]:
    """Return the benchmarks that tasks name, in their order, then those of search alone."""
    names = [*(task.benchmark for task in config.tasks), *config.searched]
    return {name: benchmarks[name] for name in names}


def result_settings(
    config: EvaluateConfig, benchmarks: Mapping[str, DatasetSettings]
) -> dict[str, Any]:
    """Return all settings that a result depends on: the stage's and its benchmarks'."""
    return {
        **identity(config),
        "benchmarks": identity(dict(benchmarks_used(config, benchmarks))),
    }
