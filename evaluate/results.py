"""`results.json`: every number with its interval, and all that it depends on.

Typed and versioned; it holds no time, no host and no path, so two runs of the same inputs and
settings give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from openalign.errors import InputError
from openalign.files import storage

RESULTS = "results.json"
RESULTS_VERSION = 1
"""Raised whenever a field changes its name, type or meaning."""

LIBRARIES = ("numpy", "openalign", "pillow", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number."""

    name: str
    """What was measured, from the general to the special, parted by `/`."""

    value: float
    low: float
    """Lower end of the bootstrap interval."""

    high: float
    """Upper end of the bootstrap interval."""

    n: int
    """Queries that it is a mean (or median) over."""

    chance: float
    """What a random order would give."""

    higher_is_better: bool = True
    version: int = 1
    """Raised when the metric's definition changes."""

    @property
    def last(self) -> str:
        """The last part of the name: `recall_at_1`."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """How large a benchmark was."""

    name: str
    split: str
    num_images: int
    num_captions: int
    gallery_splits: tuple[str, ...]
    """What the whole gallery holds."""

    num_gallery_images: int
    num_gallery_captions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All of `results.json`."""

    metrics: tuple[Metric, ...]
    datasets: tuple[DatasetFacts, ...]
    settings: Mapping[str, Any]
    libraries: Mapping[str, str]
    hashes: Mapping[str, str]
    """Of the weights, of the preprocessing, and of each data set."""

    version: int = RESULTS_VERSION

    def metric(self, name: str) -> Metric:
        """Return a metric by its whole name."""
        return next(metric for metric in self.metrics if metric.name == name)

    def under(self, prefix: str) -> list[Metric]:
        """Return the metrics below a name, in the order they were measured."""
        return [metric for metric in self.metrics if metric.name.startswith(f"{prefix}/")]


def to_json(results: Results) -> str:
    """Return the text of `results.json`."""
    return json.dumps(asdict(results), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(url: str) -> Results:
    """Read a `results.json`.

    Raises:
        InputError: it is not one, or of another version.
    """
    try:
        values = cast("dict[str, Any]", json.loads(storage.read_bytes(url)))
        found = values["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{url}: is not a file of results: {error!r}") from error
    if found != RESULTS_VERSION:
        raise InputError(
            f"{url}: has version {found}, this program reads {RESULTS_VERSION}",
            hint="run `openalign evaluate` again",
        )
    try:
        metrics = tuple(_typed(Metric, entry) for entry in values["metrics"])
        datasets = tuple(
            _typed(DatasetFacts, entry | {"gallery_splits": tuple(entry["gallery_splits"])})
            for entry in values["datasets"]
        )
        return Results(**{**values, "metrics": metrics, "datasets": datasets})
    except (KeyError, TypeError) as error:
        raise InputError(f"{url}: does not follow version {RESULTS_VERSION}: {error}") from error


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of the libraries that a number can depend on."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _typed(cls: Any, entry: Mapping[str, Any]) -> Any:
    """Build a record whose numbers, texts and flags have exactly their declared types."""
    for spec in fields(cls):
        value = entry.get(spec.name, spec.default)
        wanted: Any = spec.type
        if wanted in (int, float, str, bool) and type(value) is not wanted:
            raise TypeError(f"`{spec.name}` must be {wanted.__name__}, got {value!r}")
    return cls(**entry)
