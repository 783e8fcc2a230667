"""Complete evaluations with numbers that a test chooses, in memory and as folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from openalign.evaluate import results
from openalign.evaluate.compare.evaluation import Evaluation
from openalign.evaluate.metrics.resampled import Resampled, values_by_name, write_resamples
from openalign.evaluate.results import Metric, Results, TaskResult
from openalign.files import storage
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import DataFile, StageFolder, StageInputs, StageResult
from openalign.files.names import RESULTS_FILE

SETTINGS: dict[str, Any] = {
    "confidence": 0.5,
    "seed": 0,
    "bootstrap_resamples": 5,
    "fast": False,
    "tasks": [{"kind": "retrieval", "name": "", "benchmark": "pets", "folds": None}],
}
"""Five resamples are enough for intervals of 50 %."""

PETS = TaskResult(name="pets", kind="retrieval", benchmark="pets", facts={})


def number(
    of_pets: str, value: float, resamples: Sequence[float] = (), **changes: object
) -> Resampled:
    """Return a metric of the task `pets` unless it is renamed, with its values in the resamples."""
    metric = Metric(
        name=f"retrieval/pets/{of_pets}", value=value, low=0.0, high=1.0, n=10, chance=0.1
    )
    changed = msgspec.structs.replace(metric, **changes)
    return Resampled(metric=changed, value_R=np.array(resamples, dtype=np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An evaluation, complete but for the files of embeddings."""

    numbers: Sequence[Resampled]
    tasks: tuple[TaskResult, ...] = (PETS,)
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Those that differ from `SETTINGS`."""

    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def results(self) -> Results:
        """What `results.json` has."""
        return Results(
            metrics=tuple(each.metric for each in self.numbers),
            tasks=self.tasks,
            settings={**SETTINGS, **self.settings},
            libraries={},
            hashes={"weights": "w", "dataset/pets": "d", **self.hashes},
        )

    def named(self, name: str) -> Evaluation:
        """Return the run as it is read."""
        return Evaluation(
            name=name,
            results=self.results,
            resamples=values_by_name(self.numbers),
            inputs=self.inputs,
        )

    def sealed(self, root: str) -> str:
        """Write the run as the stage does, and return its root."""
        folder, inputs = StageFolder(root, "evaluate"), StageInputs(settings={}, contents={})
        output = folder.partial_url(inputs.fingerprint)
        written = storage.write_text(
            storage.join(output, RESULTS_FILE), results.to_json(self.results)
        )
        files = [
            DataFile.of(RESULTS_FILE, written, num_rows=len(self.numbers)),
            write_resamples(output, self.numbers),
        ]
        result = StageResult(
            num_inputs=0,
            states={},
            num_outputs=0,
            files=files,
            facts=EvaluateFacts(headline=[], num_metrics=len(self.numbers)),
        )
        folder.seal(result, inputs)
        return root
