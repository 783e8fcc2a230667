"""The stage `evaluate`: reads a model and benchmarks, writes numbers, embeddings and search.

    results.json                          every number with its interval (`results.Results`)
    embeddings/                           unit rows of images, captions and words (`embeddings`)
    search/items.parquet                  the images that `openalign search` finds
    examples.json, thumbnails.parquet     what the report shows

Driven by `EvaluateConfig` and the pipeline's `benchmarks`. Images and texts are embedded once,
however many tasks need them. All numbers come from those rows, also when the stage is run again
with other settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from openalign.errors import StageError
from openalign.evaluate import results
from openalign.evaluate.benchmark import EmbeddedBenchmark, embed_benchmark
from openalign.evaluate.bootstrap import Bootstrap
from openalign.evaluate.config import EvaluateConfig, benchmarks_used, result_settings
from openalign.evaluate.datasets import kinds as dataset_kinds
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.drawing.thumbnails import write_thumbnails
from openalign.evaluate.embeddings import EmbeddingStore, embed_texts
from openalign.evaluate.encoder import Encoder
from openalign.evaluate.results import Results, TaskResult
from openalign.evaluate.search.index import Item, write_items
from openalign.evaluate.tasks.contract import (
    Material,
    Measured,
    Needs,
    Sampling,
    TaskSettings,
    key_of,
    name_of,
)
from openalign.evaluate.tasks.kinds import headline, kind_of, with_overall
from openalign.evaluate.vectors import Vectors
from openalign.files import storage
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import EXAMPLES_FILE, RESULTS_FILE, embeddings_file


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is measured, checked before anything is embedded."""

    benchmarks: Mapping[str, Dataset]
    """With no other images than those that any task needs."""

    with_captions: frozenset[str]
    """Benchmarks whose captions a task needs."""

    tasks: Sequence[tuple[TaskSettings, Needs]]


def run(
    config: EvaluateConfig,
    benchmarks: Mapping[str, DatasetSettings],
    *,
    model: str,
    output: str,
    work: str,
    previous: str | None = None,
) -> StageResult:
    """Measure a model by every task of the config.

    `previous` is the folder of the last complete result: what it embedded with the same model is
    not embedded again. The bytes that are written are the same with and without it.

    Raises:
        StageError: the config names no task.
        InputError: the model, a benchmark or an image cannot be used.
    """
    if not config.tasks:
        raise StageError(
            "there is nothing to evaluate: `evaluate.tasks` is empty",
            hint="name a task and its benchmark, for example "
            "benchmarks: {flickr30k: {kind: karpathy, path: dataset_flickr30k.json}} and "
            "evaluate: {tasks: [{kind: retrieval, benchmark: flickr30k}]}",
        )
    used = benchmarks_used(config, benchmarks)
    plan = _plan(config, used)
    encoder = Encoder.load(model)
    store = EmbeddingStore(work, previous)
    embedded = _embed(config, plan, encoder, store)
    embed = _TextEmbedding(encoder=encoder, store=store, batch_size=config.batch_size)
    measured = _measure(config, plan, embedded, embed, work)
    found = with_overall(
        Results(
            metrics=tuple(metric for outcome in measured.values() for metric in outcome.metrics),
            tasks=tuple(_task_result(task, measured[key_of(task)]) for task in config.tasks),
            settings=result_settings(config, benchmarks),
            libraries=results.library_versions(),
            hashes={
                "weights": encoder.weights_hash,
                "preprocess": encoder.preprocess_hash,
                **{f"dataset/{name}": each.content_hash for name, each in embedded.items()},
            },
        )
    )
    folders = {name: dataset_kinds.kind_of(each).image_folder(each) for name, each in used.items()}
    examples = results.examples_to_json({name: each.examples for name, each in measured.items()})
    num_embedded = sum(len(each.images) for each in embedded.values()) + sum(
        len(words) for _, needs in plan.tasks for words in needs.unprojected.values()
    )  # a data set of words has no images
    return StageResult(
        num_inputs=num_embedded,
        states={"embedded": num_embedded},
        num_outputs=num_embedded,
        files=[
            *store.write(output),
            _write_text(output, RESULTS_FILE, results.to_json(found), len(found.metrics)),
            _write_text(output, EXAMPLES_FILE, examples, len(measured)),
            write_items(output, _found_by_search(embedded), folders),
            write_thumbnails(output, _shown_by_report(config, measured, embedded)),
        ],
        facts=EvaluateFacts(headline=headline(found), num_metrics=len(found.metrics)),
    )


def _plan(config: EvaluateConfig, benchmarks: Mapping[str, DatasetSettings]) -> _Plan:
    """Read the benchmarks and ask each task what it needs of them."""
    read = {
        name: dataset_kinds.kind_of(settings).read(settings)
        for name, settings in benchmarks.items()
    }
    tasks = [(task, kind_of(task).needs(task, read[task.benchmark])) for task in config.tasks]
    needed: dict[str, Dataset] = {}
    for name, dataset in read.items():
        splits = [needs.splits for task, needs in tasks if task.benchmark == name]
        places = [
            at
            for at, image in enumerate(dataset.images)
            if any(named is None or image.split in named for named in splits)
        ]
        needed[name] = dataset.keeping(places)
    return _Plan(
        benchmarks=needed,
        with_captions=frozenset(task.benchmark for task, needs in tasks if needs.captions),
        tasks=tasks,
    )


def _embed(
    config: EvaluateConfig, plan: _Plan, encoder: Encoder, store: EmbeddingStore
) -> dict[str, EmbeddedBenchmark]:
    """Return each benchmark with its embeddings, by its name."""
    return {
        name: embed_benchmark(
            name,
            dataset,
            encoder,
            with_captions=name in plan.with_captions,
            batch_size=config.batch_size,
            store=store,
        )
        for name, dataset in plan.benchmarks.items()
    }


def _measure(
    config: EvaluateConfig,
    plan: _Plan,
    embedded: Mapping[str, EmbeddedBenchmark],
    embed: "_TextEmbedding",
    work: str,
) -> dict[str, Measured[Any, Any]]:
    """Return what each task found, by its key."""
    sampling = Sampling(
        bootstrap=Bootstrap(
            resamples=config.bootstrap_resamples, confidence=config.confidence, seed=config.seed
        ),
        num_examples=config.num_examples,
    )
    measured: dict[str, Measured[Any, Any]] = {}
    for task, needs in plan.tasks:
        material = Material(
            benchmark=embedded[task.benchmark],
            texts={what: embed(task, what, of) for what, of in needs.texts.items()},
            unprojected={
                what: embed(task, what, of, projected=False)
                for what, of in needs.unprojected.items()
            },
            temperature=embed.encoder.temperature,
            work=storage.join(work, "tasks", key_of(task)),
        )
        measured[key_of(task)] = kind_of(task).measure(task, material, sampling)
    return measured


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextEmbedding:
    """Embeds the texts of tasks."""

    encoder: Encoder
    store: EmbeddingStore
    batch_size: int

    def __call__(
        self, task: TaskSettings, what: str, texts: Sequence[str], *, projected: bool = True
    ) -> Vectors:
        """Return a unit row for each text; `what` is what the task calls them."""
        return embed_texts(
            self.encoder,
            texts,
            store=self.store,
            file=embeddings_file(f"{task.kind}-{name_of(task)}", what),
            batch_size=self.batch_size,
            projected=projected,
        ).rows


def _task_result(task: TaskSettings, outcome: Measured[Any, Any]) -> TaskResult:
    return TaskResult(
        name=name_of(task),
        kind=task.kind,
        benchmark=task.benchmark,
        facts=msgspec.to_builtins(outcome.facts),
    )


def _found_by_search(embedded: Mapping[str, EmbeddedBenchmark]) -> list[Item]:
    """Return every image once, as of the first benchmark that holds it."""
    items = {
        image.where: Item(key=f"{name}/{image.name}", dataset=name, path=image.name, row=row)
        for name, each in reversed(list(embedded.items()))
        for row, image in enumerate(each.images)
    }
    return list(items.values())


def _shown_by_report(
    config: EvaluateConfig,
    measured: Mapping[str, Measured[Any, Any]],
    embedded: Mapping[str, EmbeddedBenchmark],
) -> list[tuple[str, BenchmarkImage]]:
    """Return the images that examples show, each with its benchmark's name."""
    shown = {
        (task.benchmark, name) for task in config.tasks for name in measured[key_of(task)].shown
    }
    return [
        (name, image)
        for name, each in embedded.items()
        for image in each.images
        if (name, image.name) in shown
    ]


def _write_text(output: str, name: str, text: str, num_rows: int) -> DataFile:
    written = storage.write_text(storage.join(output, name), text)
    return DataFile.of(name, written, num_rows=num_rows)
