"""The stage and the report on a data set that a test makes, without a file in a published form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from openalign.evaluate import stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets import kinds
from openalign.evaluate.datasets.contract import DatasetKind
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.report import page
from openalign.evaluate.tasks.contract import TaskSettings
from openalign.files.manifest import Manifest, StageResult


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenDataset:
    """Settings of a data set that lies in memory."""

    kind: Literal["given"] = "given"


def run_on(
    dataset: Dataset,
    task: TaskSettings,
    *,
    model: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> StageResult:
    """Run the stage with one task on a data set; the result lies in `evaluate/` of the root."""
    kind = DatasetKind(
        settings=GivenDataset,
        title="a data set in memory",
        page="evaluate.md",
        read=lambda _: dataset,
        image_folder=lambda _: "images",
    )
    monkeypatch.setitem(kinds.KINDS, "given", kind)
    output = str(root / "evaluate")
    return stage.run(
        EvaluateConfig(tasks=(task,), bootstrap_resamples=5),
        {task.benchmark: GivenDataset()},
        model=model,
        output=output,
        work=f"{output}/work",
    )


def report_on(root: Path) -> tuple[str, str]:
    """Return the report, in HTML and Markdown, of a run that has evaluated and nothing else."""
    manifest = Manifest(
        stage="evaluate",
        schema_version=1,
        fingerprint="f",
        settings={"settings": {}},
        inputs={},
        num_inputs=5,
        states={"embedded": 5},
        num_outputs=5,
        files=[],
        facts={},
    )
    page.write(
        manifests={"evaluate": manifest},
        folders={"evaluate": str(root / "evaluate")},
        stages=(),
        evaluated=str(root / "evaluate"),
        output=str(root / "report"),
        title="toy",
        credits=(),
    )
    html, markdown = ((root / "report" / f"report.{form}").read_text() for form in ("html", "md"))
    return html, markdown
