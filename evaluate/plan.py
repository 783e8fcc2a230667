"""What is measured: the images that tasks need of each benchmark, before any model is loaded.

A task that needs one split asks nothing of the others: their images are neither read nor looked
for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from openalign.errors import InputError
from openalign.evaluate.config import EvaluateConfig, benchmarks_used
from openalign.evaluate.datasets import kinds as dataset_kinds
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.tasks import kinds as task_kinds
from openalign.evaluate.tasks.contract import Needs, TaskSettings
from openalign.files.fingerprints import fingerprint_of
from openalign.files.hash_cache import hashes_of, missing_files

_NAMED = 3
"""Missing images that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBenchmark:
    """What tasks need of a benchmark."""

    dataset: Dataset
    """With no other images than those that a task needs and that are there."""

    missing: Sequence[BenchmarkImage]
    """Images that a task needs and that are not there."""

    with_captions: bool
    """Whether a task needs the images' captions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured on what."""

    benchmarks: Mapping[str, PlannedBenchmark]
    """By name, in the order in which tasks name them."""

    tasks: Sequence[tuple[TaskSettings, Needs]]


def plan(config: EvaluateConfig, benchmarks: Mapping[str, DatasetSettings]) -> Plan:
    """Read the benchmarks' lists, and ask each task what it needs of them.

    Raises:
        InputError: a benchmark or a task cannot be used, or images that are needed are missing
            and the config does not allow it.
    """
    used = benchmarks_used(config, benchmarks)
    read = {name: dataset_kinds.kind_of(each).read(each) for name, each in used.items()}
    missing: dict[str, list[BenchmarkImage]] = {}
    for name, places in _needed(read, _needs(config, read)).items():
        needed = [read[name].images[at] for at in places]
        missing[name] = missing_images(name, needed)
        if missing[name] and not config.allow_missing:
            raise missing_error(
                name,
                missing[name],
                needed,
                hint="put them there; or go on without them with `evaluate.allow_missing: true`, "
                "and they are counted",
            )
        gone = {image.name for image in missing[name]}
        images = read[name].images
        read[name] = read[name].keeping(
            [at for at, image in enumerate(images) if image.name not in gone]
        )
    tasks = _needs(config, read)  # asked again: a task may not do without what is missing
    with_captions = {task.benchmark for task, needs in tasks if needs.captions}
    return Plan(
        benchmarks={
            name: PlannedBenchmark(
                dataset=read[name].keeping(places),
                missing=missing[name],
                with_captions=name in with_captions,
            )
            for name, places in _needed(read, tasks).items()
        },
        tasks=tasks,
    )


def _needs(config: EvaluateConfig, read: Mapping[str, Dataset]) -> list[tuple[TaskSettings, Needs]]:
    return [
        (task, task_kinds.kind_of(task).needs(task, read[task.benchmark])) for task in config.tasks
    ]


def _needed(
    read: Mapping[str, Dataset], tasks: Sequence[tuple[TaskSettings, Needs]]
) -> dict[str, list[int]]:
    """Return the places of the images that any task needs of each benchmark, ascending."""
    found: dict[str, list[int]] = {}
    for name, dataset in read.items():
        splits = [needs.splits for task, needs in tasks if task.benchmark == name]
        found[name] = [
            at
            for at, image in enumerate(dataset.images)
            if any(named is None or image.split in named for named in splits)
        ]
    return found


def missing_images(name: str, images: Sequence[BenchmarkImage]) -> list[BenchmarkImage]:
    """Return the images of a benchmark whose files are not there.

    Raises:
        InputError: none of the files is there.
    """
    files = [image.place.file for image in images]
    gone = set(missing_files(files))
    if images and gone.issuperset(files):
        raise InputError(
            f"benchmark `{name}` lacks all of the {len(images):,} images that are needed; the "
            f"first is {images[0].where}",
            hint=f"see that the settings of `benchmarks.{name}` name the folder of its images",
        )
    return [image for image, file in zip(images, files, strict=True) if file in gone]


def missing_error(
    name: str, missing: Sequence[BenchmarkImage], needed: Sequence[BenchmarkImage], *, hint: str
) -> InputError:
    """Return the error about missing images of a benchmark; it names the first ones."""
    named = ", ".join(image.where for image in missing[:_NAMED])
    more = ", ..." if len(missing) > _NAMED else ""
    return InputError(
        f"benchmark `{name}` lacks {len(missing):,} of the {len(needed):,} images that are needed: "
        f"{named}{more}",
        hint=hint,
    )


def content_of(benchmark: PlannedBenchmark, *, cache: str) -> str:
    """Return the hash of all that tasks are given of a benchmark; no place enters it.

    `cache` is the URL of the hashes of its images' files.

    Raises:
        InputError: an image cannot be read.
    """
    dataset = benchmark.dataset
    hashes = hashes_of((image.place.file for image in dataset.images), cache=cache)
    said = [f.name for f in fields(dataset) if f.name != "images"]
    return fingerprint_of(
        {
            "dataset": {name: getattr(dataset, name) for name in said},
            "images": [[*_said(image), hashes[image.place.file]] for image in dataset.images],
            "missing": [_said(image) for image in benchmark.missing],
        }
    )


def _said(image: BenchmarkImage) -> list[Any]:
    """Return what the data set says of an image, without its place."""
    return [getattr(image, f.name) for f in fields(image) if f.name != "place"]
