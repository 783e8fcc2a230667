"""The stage `evaluate`: reads a model and benchmarks, writes numbers, embeddings and search.

    results.json                          every number with its interval (`results.Results`)
    embeddings/                           unit rows of pictures, captions and words (`embeddings`)
    search/items.parquet                  the pictures that `openalign search` finds
    examples.json, thumbnails.parquet     what the report shows

Driven by `EvaluateConfig`. Pictures and texts are embedded once; all numbers come from those rows,
also when the stage is run again with other settings.
"""

from collections.abc import Sequence

from openalign.errors import StageError
from openalign.evaluate import composed, examples, results
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets import karpathy
from openalign.evaluate.embeddings import Store
from openalign.evaluate.encoder import Encoder
from openalign.evaluate.examples import ComposedExamples, DatasetExamples, Examples
from openalign.evaluate.measure import (
    Benchmark,
    embed,
    how_of,
    measure_composed,
    measure_retrieval,
    retrieval_examples,
)
from openalign.evaluate.results import Metric, Results
from openalign.evaluate.search.index import Item, write_items
from openalign.files import storage
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import DataFile, StageResult
from openalign.settings.fields import identity


def run(
    config: EvaluateConfig, *, model: str, output: str, work: str, previous: str | None = None
) -> StageResult:
    """Measure a model on every benchmark of the config.

    `previous` is the folder of the last complete result: what it embedded with the same model is
    not embedded again. The bytes that are written are the same with and without it.

    Raises:
        StageError: the config names no data set.
        InputError: the model, a benchmark or a picture cannot be used.
    """
    if not config.datasets:
        raise StageError(
            "there is nothing to evaluate: `evaluate.datasets` is empty",
            hint="name a benchmark, for example "
            "{kind: karpathy, name: flickr30k, path: dataset_flickr30k.json, images: flickr30k}",
        )
    encoder = Encoder.load(model)
    store = Store(work, previous)
    benchmarks = [
        embed(dataset, encoder, batch_size=config.batch_size, store=store)
        for dataset in config.datasets
    ]
    metrics, shown = _measure(config, benchmarks, encoder, store)
    found = Results(
        metrics=tuple(metrics),
        datasets=tuple(benchmark.facts() for benchmark in benchmarks),
        settings=identity(config),
        libraries=results.library_versions(),
        hashes={
            "weights": encoder.weights_hash,
            "preprocess": encoder.preprocess_hash,
            **{f"dataset/{b.config.name}": b.content_hash for b in benchmarks},
        },
    )
    num_images = sum(len(benchmark.images) for benchmark in benchmarks)
    return StageResult(
        num_inputs=num_images,
        states={"embedded": num_images},
        num_outputs=num_images,
        files=[*store.write(output), *_write(found, shown, benchmarks, output)],
        facts=EvaluateFacts(headline=headline(found), num_metrics=len(metrics)),
    )


def headline(found: Results) -> list[str]:
    """Return the few lines that a run ends with."""
    lines: list[str] = []
    for dataset in found.datasets:
        for direction in ("text_to_image", "image_to_text"):
            prefix = f"retrieval/{dataset.name}/split/{direction}"
            recalls = [found.metric(f"{prefix}/recall_at_{k}") for k in (1, 5, 10)]
            lines.append(
                f"{dataset.name} {dataset.split}, {direction.replace('_', ' ')}: R@1/5/10 "
                f"{_percents([metric.value for metric in recalls])} "
                f"(chance {_percents([metric.chance for metric in recalls])}; "
                f"{dataset.num_images:,} pictures)"
            )
    gains = [m for m in found.metrics if m.name.endswith(f"/{composed.GAIN}/top_1")]
    for gain in gains:
        words = "above" if composed.is_supported(gain) else "not shown to be above"
        low, value, high = (f"{100 * part:+.1f}" for part in (gain.low, gain.value, gain.high))
        lines.append(
            f"{'/'.join(gain.name.split('/')[1:3])}, picture plus and minus words: top-1 {words} "
            f"picture alone ({value} points, {low} to {high})"
        )
    return lines


def _percents(values: Sequence[float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values)


def _measure(
    config: EvaluateConfig, benchmarks: Sequence[Benchmark], encoder: Encoder, store: Store
) -> tuple[list[Metric], Examples]:
    how = how_of(config)
    metrics: list[Metric] = []
    datasets: list[DatasetExamples] = []
    for benchmark in benchmarks:
        found, ranked = measure_retrieval(benchmark, how)
        metrics += found
        datasets.append(retrieval_examples(benchmark, ranked[0], config.num_examples))
    sets: list[ComposedExamples] = []
    for queries in config.composed:
        benchmark = next(b for b in benchmarks if queries.dataset in ("", b.config.name))
        found, shown = measure_composed(
            queries,
            benchmark,
            encoder,
            how,
            num_examples=config.num_examples,
            batch_size=config.batch_size,
            store=store,
        )
        metrics += found
        sets.append(shown)
    return metrics, Examples(datasets=tuple(datasets), composed=tuple(sets))


def _write(
    found: Results, shown: Examples, benchmarks: Sequence[Benchmark], output: str
) -> list[DataFile]:
    files = [
        _write_text(output, results.RESULTS, results.to_json(found), len(found.metrics)),
        _write_text(output, examples.EXAMPLES, examples.to_json(shown), len(shown.datasets)),
    ]
    # Two data sets may be two splits of the same pictures: each picture is found once.
    items = {
        image.url: Item(
            key=f"{b.config.name}/{image.name}", dataset=b.config.name, path=image.path, row=row
        )
        for b in reversed(benchmarks)
        for row, image in enumerate(b.images)
    }
    folders = {
        b.config.name: karpathy.folder_of(b.config.path, b.config.images) for b in benchmarks
    }
    pictures = shown.pictures()
    small = [
        (b.config.name, image)
        for b in benchmarks
        for image in b.images
        if image.name in pictures[b.config.name]
    ]
    return [
        *files,
        write_items(output, list(items.values()), folders),
        examples.write_thumbnails(output, small),
    ]


def _write_text(output: str, name: str, text: str, num_rows: int) -> DataFile:
    written = storage.write_text(storage.join(output, name), text)
    return DataFile(
        name=name, num_rows=num_rows, num_bytes=written.num_bytes, sha256=written.sha256
    )
