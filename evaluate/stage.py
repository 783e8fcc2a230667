"""The stage `evaluate`: reads a model and benchmarks, writes numbers, embeddings and search.

    results.json                          every number with its interval (`results.Results`)
    resamples.parquet                     the values that the intervals are of (`resampled`)
    embeddings/                           unit rows of images, captions and words (`chunks`)
    search/items.parquet                  the images that `openalign search` finds
    examples.json, thumbnails.parquet     what the report shows
    image_map.json                        where the images of the report's map lie
    run.jsonl                             times and rates, which are no part of the result

Driven by `EvaluateConfig` and the pipeline's `benchmarks`. Images and texts are embedded once,
however many tasks need them, by one process or by several. All numbers come from those rows, also
when the stage is run again with other settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from openalign.errors import StageError
from openalign.evaluate import results
from openalign.evaluate.config import EvaluateConfig, benchmarks_used, result_settings
from openalign.evaluate.datasets import kinds as dataset_kinds
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.drawing.image_map import ImageMap, write_map
from openalign.evaluate.drawing.thumbnails import write_thumbnails
from openalign.evaluate.embedded_plan import EmbeddedPlan, embed_plan
from openalign.evaluate.embedding.chunks import ChunkStore
from openalign.evaluate.mapped_images import map_of
from openalign.evaluate.metrics.bootstrap import Bootstrap
from openalign.evaluate.metrics.resampled import values_by_name, write_resamples
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.plan import FAST_IMAGES, plan
from openalign.evaluate.results import LeftOutImage, Results, TaskResult
from openalign.evaluate.search.index import Item, write_items
from openalign.evaluate.tasks.benchmark import EmbeddedBenchmark, benchmark_of
from openalign.evaluate.tasks.contract import (
    Material,
    Measured,
    Sampling,
    TaskSettings,
    key_of,
    name_of,
)
from openalign.evaluate.tasks.kinds import headline, kind_of, overall
from openalign.evaluate.trained_tasks import check_trainings, train_for_tasks, work_of
from openalign.files import storage
from openalign.files.facts import EvaluateFacts, counts_by
from openalign.files.manifest import DataFile, StageResult
from openalign.files.names import EXAMPLES_FILE, RESULTS_FILE, embeddings_file
from openalign.files.sealed import SealedFiles
from openalign.files.states import EvaluateState
from openalign.train.ranks import RankGroup, alone

_NO_ROWS: Vectors = np.empty((0, 0), dtype=np.float32)
_SEEN = 0.0005
"""Half of the last digit that tables print of a share."""


def run(
    config: EvaluateConfig,
    benchmarks: Mapping[str, DatasetSettings],
    *,
    model: str,
    output: str,
    work: str,
    previous: SealedFiles | None = None,
) -> StageResult:
    """Measure a model by every task of the config, in this process.

    `previous` is the last complete result: what it embedded with the same model is not embedded
    again where it is as it was written. The bytes that are written are the same with and without
    it.

    Raises:
        StageError: the config names nothing to embed, or a batch does not fit into the device's
            memory.
        ConfigError: processes cannot share the batches of a task that trains the model.
        InputError: the model, a benchmark or more images than may be left out cannot be used.
    """
    result = run_as_rank(
        config,
        benchmarks,
        model=model,
        output=output,
        work=work,
        previous=previous,
        ranks=alone(),
    )
    assert result is not None
    return result


def run_as_rank(
    config: EvaluateConfig,
    benchmarks: Mapping[str, DatasetSettings],
    *,
    model: str,
    output: str,
    work: str,
    previous: SealedFiles | None,
    ranks: RankGroup,
) -> StageResult | None:
    """Do what `run` does as one of several ranks: all embed and train, and rank 0 measures.

    The other ranks return None. Raises what `run` raises.
    """
    if config.is_idle:
        raise StageError(
            "there is nothing to evaluate: `evaluate.tasks` is empty, and `evaluate.searched`",
            hint="name a task and its benchmark, for example "
            "benchmarks: {flickr30k: {kind: karpathy, path: dataset_flickr30k.json}} and "
            "evaluate: {tasks: [{kind: retrieval, benchmark: flickr30k}]}",
        )
    used = benchmarks_used(config, benchmarks)
    store = ChunkStore(work, previous)
    planned = plan(config, used)
    check_trainings(config, planned, model=model, ranks=ranks)
    made = embed_plan(config, planned, model=model, output=output, store=store, ranks=ranks)
    trained = train_for_tasks(config, made, model=model, work=work, ranks=ranks)
    if ranks.rank != 0:
        return None
    rows = {file: store.write_file(output, file, chunks) for file, chunks in made.chunks.items()}
    embedded = {name: _benchmark(name, made, rows) for name in used}
    bootstrap = Bootstrap(
        resamples=config.bootstrap_resamples, confidence=config.confidence, seed=config.seed
    )
    measured = _measure(config, made, embedded, rows, trained, bootstrap=bootstrap, work=work)
    of_tasks = _results(config, benchmarks, made, embedded, measured)
    metrics = [metric for outcome in measured.values() for metric in outcome.resampled]
    metrics += overall(of_tasks, values_by_name(metrics), bootstrap)
    found = msgspec.structs.replace(of_tasks, metrics=tuple(each.metric for each in metrics))
    folders = {name: dataset_kinds.kind_of(each).image_folder(each) for name, each in used.items()}
    examples = results.examples_to_json({name: each.examples for name, each in measured.items()})
    image_map = map_of(found.tasks, embedded)
    files = [
        *store.write_list(output),
        _write_text(output, RESULTS_FILE, results.to_json(found), len(found.metrics)),
        write_resamples(output, metrics),
        _write_text(output, EXAMPLES_FILE, examples, len(measured)),
        write_items(output, _found_by_search(embedded), folders),
        write_map(output, image_map),
        write_thumbnails(output, _shown_by_report(config, measured, embedded, image_map)),
    ]
    result = _counted(made, embedded, files)
    lines = [*made.warnings, *_warnings(config, result), *headline(found), *_ties(found)]
    lines += [
        f"{name}: {len(embedded[name].images):,} images to search" for name in config.searched
    ]
    return replace(result, facts=EvaluateFacts(headline=lines, num_metrics=len(found.metrics)))


def _benchmark(name: str, made: EmbeddedPlan, rows: Mapping[str, Vectors]) -> EmbeddedBenchmark:
    """Return a benchmark with its rows."""
    images = embeddings_file(name, "images")
    planned = made.plan.benchmarks[name]
    return benchmark_of(
        name,
        planned.dataset,
        image_GD=rows.get(images, _NO_ROWS),
        caption_GD=rows.get(embeddings_file(name, "captions"), _NO_ROWS)
        if planned.with_captions
        else None,
        image_hashes=[chunk.content_hash for chunk in made.chunks.get(images, ())],
    )


def _measure(
    config: EvaluateConfig,
    made: EmbeddedPlan,
    embedded: Mapping[str, EmbeddedBenchmark],
    rows: Mapping[str, Vectors],
    trained: Mapping[str, object],
    *,
    bootstrap: Bootstrap,
    work: str,
) -> dict[str, Measured[Any, Any]]:
    """Return what each task found, by its key."""
    sampling = Sampling(bootstrap=bootstrap, num_examples=config.num_examples, fast=config.fast)
    measured: dict[str, Measured[Any, Any]] = {}
    for task, needs in made.plan.tasks:
        owner = f"{task.kind}-{name_of(task)}"
        texts, states = (
            {what: rows.get(embeddings_file(owner, what), _NO_ROWS) for what in of_task}
            for of_task in (needs.texts, needs.unprojected)
        )
        material = Material(
            benchmark=embedded[task.benchmark],
            texts=texts,
            unprojected=states,
            temperature=made.temperature,
            work=work_of(task, work),
            trained=trained.get(key_of(task)),
        )
        measured[key_of(task)] = kind_of(task).measure(task, material, sampling)
    return measured


def _results(
    config: EvaluateConfig,
    benchmarks: Mapping[str, DatasetSettings],
    made: EmbeddedPlan,
    embedded: Mapping[str, EmbeddedBenchmark],
    measured: Mapping[str, Measured[Any, Any]],
) -> Results:
    """Return what the tasks found, without what is measured over several of them."""
    return Results(
        metrics=tuple(metric for outcome in measured.values() for metric in outcome.metrics),
        tasks=tuple(_task_result(task, measured[key_of(task)]) for task in config.tasks),
        settings=result_settings(config, benchmarks),
        libraries=results.library_versions(),
        hashes={
            "weights": made.weights_hash,
            "preprocess": made.preprocess_hash,
            **{f"dataset/{name}": each.content_hash for name, each in embedded.items()},
        },
        missing={
            name: len(each.missing) for name, each in made.plan.benchmarks.items() if each.missing
        },
        left_out={name: left_out for name in embedded if (left_out := _left_out(name, made))},
    )


def _left_out(name: str, made: EmbeddedPlan) -> tuple[LeftOutImage, ...]:
    """Return the images of a benchmark that numbers are not of."""
    missing = [
        LeftOutImage(name=image.name, state=EvaluateState.MISSING.value)
        for image in made.plan.benchmarks[name].missing
    ]
    unreadable = [
        LeftOutImage(name=each.image.name, state=EvaluateState.UNREADABLE.value, reason=each.reason)
        for each in made.unreadable
        if each.benchmark == name
    ]
    return (*missing, *unreadable)


def _warnings(config: EvaluateConfig, result: StageResult) -> list[str]:
    """Return lines that say in what the numbers are not those of the whole benchmarks."""
    lines: list[str] = []
    if config.fast:
        lines.append(f"a fast run: numbers are of the first {FAST_IMAGES} images of each split")
    left_out = {
        state: count for state, count in result.states.items() if state != EvaluateState.EMBEDDED
    }
    if num_left_out := sum(left_out.values()):
        lines.append(
            f"{num_left_out:,} of {result.num_inputs:,} images are left out: "
            f"{counts_by(left_out)}; {RESULTS_FILE} names them"
        )
    return lines


def _ties(found: Results) -> list[str]:
    """Return a line that says how much depends on ties, where a printed digit does."""
    moved = [
        abs(metric.ties_at_random - metric.value)
        for metric in found.metrics
        if metric.ties_at_random is not None
    ]
    seen = [each for each in moved if each >= _SEEN]
    if not seen:
        return []
    line = (
        f"ties count as misses: under a random order of ties, {len(seen):,} of "
        f"{len(found.metrics):,} numbers differ, by up to {100 * max(seen):.1f} points; the report "
        "shows both"
    )
    return [line]


def _counted(
    made: EmbeddedPlan, embedded: Mapping[str, EmbeddedBenchmark], files: Sequence[DataFile]
) -> StageResult:
    """Return the files of the stage's result, with the counts of what it was made of."""
    num_images = sum(len(each.images) for each in embedded.values())
    num_words = sum(
        len(texts) for _, needs in made.plan.tasks for texts in needs.unprojected.values()
    )
    states = {
        EvaluateState.EMBEDDED.value: num_images + num_words,  # a data set of words has no images
        EvaluateState.MISSING.value: sum(
            len(each.missing) for each in made.plan.benchmarks.values()
        ),
        EvaluateState.UNREADABLE.value: len(made.unreadable),
    }
    return StageResult(
        num_inputs=sum(states.values()),
        states=states,
        num_outputs=num_images + num_words,
        files=files,
    )


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
        image.where: Item(
            key=f"{name}/{image.name}",
            dataset=name,
            path=image.name,
            caption=each.dataset.title_of(image),
            row=row,
        )
        for name, each in reversed(list(embedded.items()))
        for row, image in enumerate(each.images)
    }
    return list(items.values())


def _shown_by_report(
    config: EvaluateConfig,
    measured: Mapping[str, Measured[Any, Any]],
    embedded: Mapping[str, EmbeddedBenchmark],
    image_map: ImageMap,
) -> list[tuple[str, Dataset, BenchmarkImage]]:
    """Return the images that examples and the map show, each with its benchmark."""
    shown = {
        (task.benchmark, name) for task in config.tasks for name in measured[key_of(task)].shown
    }
    shown.update((image_map.benchmark, image.name) for image in image_map.images)
    return [
        (name, each.dataset, image)
        for name, each in embedded.items()
        for image in each.images
        if (name, image.name) in shown
    ]


def _write_text(output: str, name: str, text: str, num_rows: int) -> DataFile:
    written = storage.write_text(storage.join(output, name), text)
    return DataFile.of(name, written, num_rows=num_rows)
