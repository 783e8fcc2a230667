"""The benchmark of painted squares as settings, for every test that runs the stage on it."""

from pathlib import Path

from openalign.evaluate import stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.captions.karpathy import KarpathyDataset
from openalign.evaluate.datasets.contract import DatasetSettings
from openalign.evaluate.tasks.composed.composed import ComposedTask
from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask
from openalign.files.manifest import StageResult

RETRIEVAL = RetrievalTask(benchmark="squares")


def benchmarks_of(folder: Path) -> dict[str, DatasetSettings]:
    """Return the `benchmarks:` of a folder of squares."""
    return {"squares": KarpathyDataset(path=f"{folder}/dataset.json", images=f"{folder}/images")}


def config_of(folder: Path, **settings: object) -> EvaluateConfig:
    """Return settings with both kinds of task on the squares."""
    edits = ComposedTask(name="edits", benchmark="squares", path=f"{folder}/composed.json")
    values: dict[str, object] = {
        "tasks": (RETRIEVAL, edits),
        "bootstrap_resamples": 20,
        "batch_size": 3,
    }
    return EvaluateConfig(**(values | settings))  # pyright: ignore[reportArgumentType]


def run_stage(folder: Path, config: EvaluateConfig, *, model: str, output: Path) -> StageResult:
    """Run the stage on the squares of a folder."""
    return stage.run(
        config, benchmarks_of(folder), model=model, output=str(output), work=f"{output}/work"
    )
