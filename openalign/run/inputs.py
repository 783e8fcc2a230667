"""Fingerprints of the inputs that stages read from outside the run, by name.

An input's content is part of a result's identity; its path is not.
"""

from typing import TYPE_CHECKING, Any

from openalign.evaluate.datasets.dataset import check_splits
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.plan import content_of, missing_error, missing_images, plan
from openalign.evaluate.tasks import kinds as task_kinds
from openalign.evaluate.tasks.contract import key_of
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.folder import opened
from openalign.files.hash_cache import hashes_of
from openalign.files.names import HASHES_FOLDER
from openalign.filtering.config import HeldOut
from openalign.run.config import PipelineConfig
from openalign.train.saved_files import model_files

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
        for image in _images(config, held_out):
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
    """Return the content of the held-out images.

    Raises:
        InputError: a benchmark cannot be used, or an image is missing.
    """
    found: dict[str, str] = {}
    for number, held_out in enumerate(config.select.held_out):
        images = _images(config, held_out)
        files = (image.place.file for image in images)
        hashes = hashes_of(files, cache=cache_of_hashes(config.root, f"held_out-{number}"))
        found[f"held_out[{number}]"] = fingerprint_of(
            [[image.name, image.split, hashes[image.place.file]] for image in images]
        )
    return found


def of_evaluate(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the benchmarks, of what tasks read beside them, and of the model.

    A model that the run made itself is the result of a stage, and no input from outside.

    Raises:
        InputError: one of them cannot be read.
    """
    found: dict[str, str] = {}
    if config.evaluate.model:
        found["model"] = model_identity(config.evaluate.model, root=config.root)
    for name, benchmark in plan(config.evaluate, config.benchmarks).benchmarks.items():
        key = f"benchmarks.{name}"
        found[key] = content_of(benchmark, cache=cache_of_hashes(config.root, key))
    for task in config.evaluate.tasks:
        fingerprint = task_kinds.kind_of(task).fingerprint
        if fingerprint is not None:
            found[f"tasks.{key_of(task)}"] = fingerprint(task)
    return found


def model_identity(folder: str, *, root: str) -> str:
    """Return the hash of a model's files; where they lie does not enter it.

    Raises:
        InputError: the folder holds no model, or cannot be reached.
    """
    with opened(folder) as files:
        names = model_files(files)
    urls = {name: storage.join(folder, name) for name in names}
    hashes = hashes_of(urls.values(), cache=cache_of_hashes(root, "model"))
    return fingerprint_of({name: hashes[url] for name, url in urls.items()})


def cache_of_hashes(root: str, name: str) -> str:
    """Return the URL of the cache that holds the hashes of one input's files."""
    return storage.join(root, HASHES_FOLDER, f"{name}.json")


def _images(config: PipelineConfig, held_out: HeldOut) -> list[BenchmarkImage]:
    """Return the images of a benchmark that are held out, once all of them are there."""
    name, dataset = held_out.benchmark, config.benchmarks[held_out.benchmark]
    read = kind_of(dataset).read(dataset)
    check_splits(read, held_out.splits, of=f"benchmark `{name}`")
    images = [image for image in read.images if image.split in held_out.splits]
    missing = missing_images(name, images)
    if missing:
        raise missing_error(
            name,
            missing,
            images,
            hint="put them there: copies of an image that is missing cannot be kept out of "
            "training",
        )
    return images
