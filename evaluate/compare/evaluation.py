"""The result of a complete evaluation, read without its model."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.metrics.bootstrap import Floats
from openalign.evaluate.metrics.resampled import read_resamples
from openalign.evaluate.results import Metric, Results, TaskResult
from openalign.files import storage
from openalign.files.manifest import DataFile, StageFolder
from openalign.files.names import RESAMPLES_FILE, RESULTS_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One of the runs that are compared."""

    name: str
    results: Results
    resamples: Mapping[str, Floats]
    """The values of metrics in the resamples, by name."""

    inputs: Mapping[str, str]
    """Fingerprints of what the evaluation read, as the manifest has them."""

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name, in the order in which they were measured."""
        return {metric.name: metric for metric in self.results.metrics}

    def tasks_of(self, metric: str) -> list[TaskResult]:
        """Return the task that a metric is of; all of its kind for one that is over several."""
        kind, name = metric.split("/")[:2]
        of_kind = [task for task in self.results.tasks if task.kind == kind]
        return [task for task in of_kind if task.name == name] or of_kind

    def settings_of(self, task: TaskResult) -> dict[str, Any]:
        """Return the settings of a task that its numbers depend on."""
        settings = cast("list[dict[str, Any]]", self.results.settings["tasks"])
        return settings[self.results.tasks.index(task)]

    def read_by(self, task: TaskResult) -> str:
        """Return the hash of what a task read beside its data set; empty where it read nothing."""
        return self.inputs.get(f"tasks.{task.key}", "")

    def dataset_of(self, task: TaskResult) -> str:
        """Return the hash of what a task was measured on."""
        return self.results.hashes[f"dataset/{task.benchmark}"]


def read_evaluation(name: str, folder: StageFolder) -> Evaluation:
    """Read the result of an evaluation.

    Raises:
        StageError: it is not complete.
        InputError: it is of another version, or a file of it cannot be used or was changed.
    """
    manifest = folder.require()
    found = results.read(storage.join(folder.url, RESULTS_FILE))
    url = storage.join(folder.url, RESAMPLES_FILE)
    if not storage.exists(url):
        raise InputError(
            f"{url} is gone, and nothing is compared without it",
            hint=f"remove {folder.url} and run `openalign evaluate` again",
        )
    resamples = read_resamples(url)
    for file in manifest.files:
        if file.name in (RESULTS_FILE, RESAMPLES_FILE):
            _check_unchanged(folder, file)
    return Evaluation(name=name, results=found, resamples=resamples, inputs=manifest.inputs)


def _check_unchanged(folder: StageFolder, file: DataFile) -> None:
    """Refuse numbers that are not those that were measured."""
    url = storage.join(folder.url, file.name)
    if hashlib.sha256(storage.read_bytes(url)).hexdigest() != file.sha256:
        raise InputError(
            f"{url} was changed after it was written: its sha256 is not the manifest's",
            hint=f"take an unchanged copy, or remove {folder.url} and run `openalign evaluate` "
            "again",
        )
