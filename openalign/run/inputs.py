"""Fingerprints of the inputs that stages read from outside the run, by name.

An input's content is part of a result's identity; its path is not.
"""

from typing import TYPE_CHECKING, Any

from openalign.evaluate.datasets.dataset import check_splits
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.tasks import kinds as task_kinds
from openalign.evaluate.tasks.contract import key_of
from openalign.run.config import PipelineConfig

if TYPE_CHECKING:
    import pyarrow as pa


def held_out_images(config: PipelineConfig) -> "pa.Table":
    """Return the fingerprints of every benchmark image that must stay out of training.

    Raises:
        InputError: a benchmark cannot be used, or has no image in a split that is held out.
    """
    import pyarrow as pa

    from openalign.files.schemas import FINGERPRINT
    from openalign.images.hashes import fingerprint_image

    rows: list[dict[str, Any]] = []
    for held_out in config.select.held_out:
        dataset = config.benchmarks[held_out.benchmark]
        read = kind_of(dataset).read(dataset)
        check_splits(read, held_out.splits, of=f"benchmark `{held_out.benchmark}`")
        for image in read.images:
            if image.split in held_out.splits:
                sha256, phash = fingerprint_image(image.place.read())
                rows.append(
                    {"name": image.name, "split": image.split, "sha256": sha256, "phash": phash}
                )
    return pa.Table.from_pylist(rows, schema=FINGERPRINT)


def of_site(_: PipelineConfig) -> dict[str, str]:
    """Return the versions of the packages that the demo's site is made of."""
    from openalign.demo import website

    return website.package_versions()


def of_select(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the held-out benchmarks."""
    return {
        f"held_out[{number}]": _benchmark(config, held_out.benchmark)
        for number, held_out in enumerate(config.select.held_out)
    }


def of_evaluate(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the benchmarks, and of what tasks read beside them."""
    used = dict.fromkeys(task.benchmark for task in config.evaluate.tasks)
    found = {f"benchmarks.{name}": _benchmark(config, name) for name in used}
    for task in config.evaluate.tasks:
        fingerprint = task_kinds.kind_of(task).fingerprint
        if fingerprint is not None:
            found[f"tasks.{key_of(task)}"] = fingerprint(task)
    return found


def _benchmark(config: PipelineConfig, name: str) -> str:
    """Return the fingerprint of what a benchmark holds, its images included."""
    dataset = config.benchmarks[name]
    return kind_of(dataset).fingerprint(dataset)
