"""Fingerprints of the inputs that stages read from outside the run, by name.

An input's content is part of a result's identity; its path is not.
"""

from typing import TYPE_CHECKING, Any

from openalign.errors import InputError
from openalign.evaluate.config import EvaluateConfig
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
from openalign.train.model.architecture import read_architecture
from openalign.train.saved_files import CONFIG_FILE, model_files, processor_files, weight_files
from openalign.train.start import origin
from openalign.train.starting_points import INIT_FROM, FromRun

if TYPE_CHECKING:
    import pyarrow as pa

    from openalign.files.removals import Removals


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


def check_held_out(config: PipelineConfig) -> None:
    """Check that the images are there that must stay out of training; none is read.

    Raises:
        InputError: a benchmark cannot be used, or an image is missing.
    """
    for held_out in config.select.held_out:
        _images(config, held_out)


def of_site(_: PipelineConfig) -> dict[str, str]:
    """Return the versions of the packages that the demo's site is made of."""
    from openalign.demo import website

    return website.package_versions()


def of_select(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the held-out images, and of removal lists where there are some.

    Raises:
        InputError: a benchmark cannot be used, an image is missing, or a list cannot be read.
    """
    found: dict[str, str] = {}
    if config.fetch.removals:
        found["removals"] = removals_of(config).fingerprint
    for number, held_out in enumerate(config.select.held_out):
        images = _images(config, held_out)
        files = (image.place.file for image in images)
        hashes = hashes_of(files, cache=cache_of_hashes(config.root, f"held_out-{number}"))
        found[f"held_out[{number}]"] = fingerprint_of(
            [[image.name, image.split, hashes[image.place.file]] for image in images]
        )
    return found


def removals_of(config: PipelineConfig) -> "Removals":
    """Return what the pipeline's removal lists name.

    Raises:
        InputError: a list cannot be read, or a line of it says nothing.
    """
    from openalign.ingest.fetching.removal_lists import read_lists

    return read_lists(config.fetch.removals)


def of_train(config: PipelineConfig) -> dict[str, str]:
    """Return the content of what training begins from; nothing where it begins with drawn weights.

    Raises:
        InputError: it cannot be read, or is the run's own result.
    """
    start = config.train.init_from
    if start is None:
        return {}
    if isinstance(start, FromRun) and _is_same(start.root, config.root):
        raise InputError(
            f"`train.init_from.root` is {start.root}, the run's own root: its result would be what "
            "it begins from",
            hint="give the new run another `root`",
        )
    return {INIT_FROM: origin.fingerprint(start, cache=cache_of_hashes(config.root, INIT_FROM))}


def _is_same(folder: str, other: str) -> bool:
    if storage.is_local(folder) and storage.is_local(other):
        return storage.local_path(folder).resolve() == storage.local_path(other).resolve()
    return folder.rstrip("/") == other.rstrip("/")


def of_evaluate(config: PipelineConfig) -> dict[str, str]:
    """Return the content of the benchmarks, of what tasks read beside them, and of the model.

    A model that the run made itself is the result of a stage, and no input from outside.

    Raises:
        InputError: one of them cannot be read.
    """
    if config.evaluate.model:
        check_model(config.evaluate)
    planned = plan(config.evaluate, config.benchmarks)
    found: dict[str, str] = {}
    if config.evaluate.model:
        found["model"] = model_identity(config.evaluate, root=config.root)
    for name, benchmark in planned.benchmarks.items():
        key = f"benchmarks.{name}"
        found[key] = content_of(benchmark, cache=cache_of_hashes(config.root, key))
    for task in config.evaluate.tasks:
        fingerprint = task_kinds.kind_of(task).fingerprint
        if fingerprint is not None:
            found[f"tasks.{key_of(task)}"] = fingerprint(task)
    return found


def check_model(config: EvaluateConfig) -> None:
    """Check that the model's folder holds an ALIGN, by its names and its `config.json`.

    No weights are read, so the answer comes before they and the benchmarks' images are hashed.

    Raises:
        InputError: it holds none, or cannot be reached.
    """
    with opened(config.model) as files:
        if CONFIG_FILE in files.names:
            read_architecture(files)
    _model_urls(config)


def model_identity(config: EvaluateConfig, *, root: str) -> str:
    """Return the hash of a model's files; where they lie does not enter it.

    Raises:
        InputError: the folder holds no model, or cannot be reached.
    """
    urls = _model_urls(config)
    hashes = hashes_of(urls.values(), cache=cache_of_hashes(root, "model"))
    if gone := [url for url in urls.values() if url not in hashes]:
        raise InputError(
            f"{gone[0]} is named in its folder, and there is no such file",
            hint="a link that leads nowhere is what a download that was cut short, or a cache that "
            "was cleared, leaves behind: fetch the model again",
        )
    return fingerprint_of({name: hashes[url] for name, url in urls.items()})


def _model_urls(config: EvaluateConfig) -> dict[str, str]:
    """Return where each file lies that reading the model may open, by its name."""
    with opened(config.model) as files:
        if not config.processor:
            return {name: files.url_of(name) for name in model_files(files)}
        urls = {name: files.url_of(name) for name in (CONFIG_FILE, *weight_files(files))}
    with opened(config.processor) as files:
        return urls | {name: files.url_of(name) for name in processor_files(files)}


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
