"""What is measured: the images that tasks need of each benchmark, before any model is loaded.

A task that needs one split asks nothing of the others: their images are neither read nor looked
for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from openalign.errors import InputError
from openalign.evaluate.config import EvaluateConfig, benchmarks_used
from openalign.evaluate.datasets import kinds as dataset_kinds
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.datasets.dataset import Dataset, without_images
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.tasks import kinds as task_kinds
from openalign.evaluate.tasks.contract import Needs, TaskSettings, key_of
from openalign.files.fingerprints import fingerprint_of
from openalign.files.found_names import otherwise_composed
from openalign.files.hash_cache import hashes_of, missing_files
from openalign.telemetry import say

FAST_IMAGES = 64
"""Images of each split in a fast run, and one more for each class that has none among them."""

_NAMED = 3
"""Missing images that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBenchmark:
    """What tasks need of a benchmark."""

    dataset: Dataset
    """With no other images than those that a task or search needs and that are there."""

    missing: Sequence[BenchmarkImage]
    """Images that a task or search needs and that are not there."""

    with_captions: bool
    """Whether a task needs the images' captions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured on what."""

    benchmarks: Mapping[str, PlannedBenchmark]
    """By name, in the order in which tasks name them."""

    tasks: Sequence[tuple[TaskSettings, Needs]]


def _read(name: str, settings: DatasetSettings) -> Dataset:
    """Return a benchmark's list; an error that has no advice says where its path is set."""
    try:
        return dataset_kinds.kind_of(settings).read(settings)
    except InputError as error:
        if error.hint:
            raise
        raise InputError(
            str(error),
            hint=f"`benchmarks.{name}` names it, or --data; `openalign datasets check PATH` looks "
            "at a data set alone",
        ) from error


def plan(config: EvaluateConfig, benchmarks: Mapping[str, DatasetSettings]) -> Plan:
    """Read the benchmarks' lists, and ask each task what it needs of them.

    Raises:
        InputError: a benchmark or a task cannot be used, or images that are needed are missing
            and the config does not allow it.
    """
    used = benchmarks_used(config, benchmarks)
    read = {name: _read(name, each) for name, each in used.items()}
    missing: dict[str, list[BenchmarkImage]] = {}
    asked = _needs(config, read)
    if config.fast:
        read = {name: fast_part(dataset) for name, dataset in read.items()}
        asked = _needs(config, read)
    for name, places in _needed(config, read, asked).items():
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
        read[name] = without_images(read[name], {image.name for image in missing[name]})
    return _plan_of(config, read, missing)


def without_unreadable(
    config: EvaluateConfig, planned: Plan, unreadable: Mapping[str, Collection[str]]
) -> Plan:
    """Return a plan without images that cannot be decoded, by their names in each benchmark.

    Raises:
        InputError: a task cannot do without them.
    """
    return _plan_of(
        config,
        {
            name: without_images(each.dataset, unreadable.get(name, ()))
            for name, each in planned.benchmarks.items()
        },
        {name: each.missing for name, each in planned.benchmarks.items()},
    )


def _plan_of(
    config: EvaluateConfig,
    datasets: Mapping[str, Dataset],
    missing: Mapping[str, Sequence[BenchmarkImage]],
) -> Plan:
    """Ask the tasks what they need of data sets whose images are there."""
    tasks = _needs(config, datasets)
    with_captions = {task.benchmark for task, needs in tasks if needs.captions}
    return Plan(
        benchmarks={
            name: PlannedBenchmark(
                dataset=datasets[name].keeping(places),
                missing=missing[name],
                with_captions=name in with_captions,
            )
            for name, places in _needed(config, datasets, tasks).items()
        },
        tasks=tasks,
    )


def fast_part(dataset: Dataset) -> Dataset:
    """Return the first images of each split, and the first of each class in each split."""
    num_kept: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    beyond: set[str] = set()
    for image in dataset.images:
        kept = num_kept.get(image.split, 0)
        is_first = image.label is not None and (image.split, image.label) not in seen
        if kept < FAST_IMAGES or is_first:
            num_kept[image.split] = kept + 1
            if image.label is not None:
                seen.add((image.split, image.label))
        else:
            beyond.add(image.name)
    return without_images(dataset, beyond)


def say_needs(planned: Plan) -> None:
    """Say what the run will embed, benchmark by benchmark and task by task."""
    for name, benchmark in planned.benchmarks.items():
        images = benchmark.dataset.images
        words = [f"{len(images):,} images"]
        if benchmark.missing:
            words.append(f"{len(benchmark.missing):,} more are missing")
        if benchmark.with_captions:
            words.append(f"{sum(len(image.captions) for image in images):,} captions")
        say(f"evaluate  {name} needs {', '.join(words)}")
        for note in benchmark.dataset.notes:
            say(f"evaluate  {note}")
    for task, needs in planned.tasks:
        texts = sum(map(len, chain(needs.texts.values(), needs.unprojected.values())))
        if texts:
            say(f"evaluate  {key_of(task)} needs {texts:,} texts of its own")


def _needs(config: EvaluateConfig, read: Mapping[str, Dataset]) -> list[tuple[TaskSettings, Needs]]:
    return [
        (task, task_kinds.kind_of(task).needs(task, read[task.benchmark])) for task in config.tasks
    ]


def _needed(
    config: EvaluateConfig,
    read: Mapping[str, Dataset],
    tasks: Sequence[tuple[TaskSettings, Needs]],
) -> dict[str, list[int]]:
    """Return the places of the images that a task or search needs of each benchmark, ascending."""
    found: dict[str, list[int]] = {}
    for name, dataset in read.items():
        splits = [needs.splits for task, needs in tasks if task.benchmark == name]
        if name in config.searched:
            splits.append(None)
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
            hint=otherwise_composed(files[:_NAMED])
            or "docs/datasets.md says how each form is laid out; if it has a setting for the "
            f"folder of images, name them: --set benchmarks.{name}.images=FOLDER",
        )
    return [image for image, file in zip(images, files, strict=True) if file in gone]


def missing_error(
    name: str, missing: Sequence[BenchmarkImage], needed: Sequence[BenchmarkImage], *, hint: str
) -> InputError:
    """Return the error about missing images of a benchmark; it names the first ones."""
    named = ", ".join(image.where for image in missing[:_NAMED])
    more = ", ..." if len(missing) > _NAMED else ""
    same = otherwise_composed(image.place.file for image in missing[:_NAMED])
    return InputError(
        f"benchmark `{name}` lacks {len(missing):,} of the {len(needed):,} images that are needed: "
        f"{named}{more}",
        hint=same or hint,
    )


def content_of(benchmark: PlannedBenchmark, *, cache: str) -> str:
    """Return the hash of all that tasks are given of a benchmark; no place enters it.

    `cache` is the URL of the hashes of its images' files.

    Raises:
        InputError: an image cannot be read.
    """
    dataset = benchmark.dataset
    hashes = hashes_of((image.place.file for image in dataset.images), cache=cache)
    # Notes are for people, and name places. What is left out is missing, or the settings say it.
    unsaid = ("images", "notes", "left_out")
    said = [f.name for f in fields(dataset) if f.name not in unsaid]
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
