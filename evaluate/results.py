"""`results.json`: every number with its interval, and all that it depends on.

Typed and versioned. It holds no time, no host and no path, so two runs of the same inputs and
settings give the same bytes. `examples.json` lies beside it: what the report shows of each task.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import msgspec

from openalign.errors import InputError
from openalign.files import storage

RESULTS_VERSION = 5
"""Raised whenever a field changes its name, type or meaning, and when a file is new beside it. The
stage then runs again."""

LIBRARIES = ("numpy", "openalign", "pillow", "simplejpeg", "tokenizers", "torch", "transformers")
_AGAIN = "run `openalign evaluate` again"

R = TypeVar("R", bound=msgspec.Struct)


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number."""

    name: str
    """What was measured, from the general to the special, separated by `/`."""

    value: float
    low: float
    """Lower end of the bootstrap interval."""

    high: float
    """Upper end of the bootstrap interval."""

    n: int
    """Queries that it is a mean (or median) over."""

    chance: float
    """What a random order would give."""

    ties_at_random: float | None = None
    """The value to expect under a random order of ties, where it differs: in `value` ties are
    misses. Other scorers report a number between the two, as their sort happens to order ties."""

    higher_is_better: bool = True
    version: int = 1
    """Raised when the metric's definition changes."""


class TaskResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task that was measured."""

    name: str
    kind: str
    benchmark: str
    facts: dict[str, Any]
    """How large it was, as the record of its kind has it."""

    @property
    def key(self) -> str:
        """How the names of its metrics begin, and what its examples are called."""
        return f"{self.kind}/{self.name}"


class LeftOutImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that was not measured on."""

    name: str
    state: str
    """One of `EvaluateState`."""

    reason: str = ""
    """Why it cannot be decoded."""


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `results.json`."""

    metrics: tuple[Metric, ...]
    tasks: tuple[TaskResult, ...]
    """In the order of the settings."""

    settings: dict[str, Any]
    libraries: dict[str, str]
    hashes: dict[str, str]
    """Of the weights, of the preprocessing, and of each benchmark (`dataset/<name>`)."""

    missing: dict[str, int] = {}
    """Images of each benchmark that tasks needed, that were not there and were left out."""

    left_out: dict[str, tuple[LeftOutImage, ...]] = {}
    """The images of each benchmark that were left out: those that were not there, then those that
    cannot be decoded."""

    version: int = RESULTS_VERSION

    def metric(self, name: str) -> Metric:
        """Return a metric by its whole name.

        Raises:
            InputError: it is not there.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise InputError(f"results hold no metric {name}", hint=_AGAIN)

    def under(self, prefix: str) -> list[Metric]:
        """Return the metrics below a name, in the order they were measured."""
        return [metric for metric in self.metrics if metric.name.startswith(f"{prefix}/")]


class _Versioned(msgspec.Struct, frozen=True):
    version: int


class _Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tasks: dict[str, dict[str, Any]]


_VERSIONED = msgspec.json.Decoder(_Versioned)
_RESULTS = msgspec.json.Decoder(Results)
_EXAMPLES = msgspec.json.Decoder(_Examples)


def made_anew(url: str) -> str:
    """Return the hint where a file of a complete result cannot be used.

    Damage that does not change its length is not looked for, so the file has to go first.
    """
    return f"remove {url} and run `openalign evaluate` again"


def to_json(results: Results) -> str:
    """Return the text of `results.json`."""
    plain = msgspec.to_builtins(results)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(url: str) -> Results:
    """Read a `results.json`.

    Raises:
        InputError: it is not one, or of another version.
    """
    content = storage.read_bytes(url)
    try:
        found = _VERSIONED.decode(content).version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = made_anew(url)
        raise InputError(f"{url}: is not a file of results: {error}", hint=hint) from error
    if found != RESULTS_VERSION:
        raise InputError(
            f"{url}: has version {found}, this program reads {RESULTS_VERSION}", hint=_AGAIN
        )
    try:
        return _RESULTS.decode(content)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"{url}: does not follow version {RESULTS_VERSION}: {error}", hint=made_anew(url)
        ) from error


def examples_to_json(examples: Mapping[str, msgspec.Struct]) -> str:
    """Return the text of `examples.json`; `examples` are those of each task, by its key."""
    plain = msgspec.to_builtins({"tasks": dict(examples)})
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_examples(url: str) -> dict[str, dict[str, Any]]:
    """Return the examples of each task, by its key; `as_record` makes them those of its kind.

    Raises:
        InputError: it is not a file of examples.
    """
    try:
        return _EXAMPLES.decode(storage.read_bytes(url)).tasks
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = made_anew(url)
        raise InputError(f"{url}: is not a file of examples: {error}", hint=hint) from error


def as_record(values: Mapping[str, Any], record: type[R], *, of: str) -> R:
    """Return what a task kind stored as its record; `of` says in an error what is read.

    Raises:
        InputError: it is of another form.
    """
    try:
        return msgspec.convert(values, record)
    except msgspec.ValidationError as error:
        raise InputError(f"{of}: {error}", hint=_AGAIN) from error


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of the libraries that a number can depend on."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
