"""A task kind in the table for the length of a test: from settings to report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from given import report_on
from squares import benchmarks_of
from toy_task import KIND, PromptTask

from openalign.evaluate import results, stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.tasks import kinds
from openalign.evaluate.tasks.contract import TaskKind
from openalign.evaluate.tasks.retrieval.retrieval import RetrievalTask
from openalign.files.facts import EvaluateFacts
from openalign.files.manifest import StageResult

TASK = PromptTask(name="reds", benchmark="squares", prompt="a red <square>")


def run(
    monkeypatch: pytest.MonkeyPatch,
    kind: TaskKind[Any, Any, Any],
    tasks: tuple[PromptTask | RetrievalTask, ...],
    *,
    folder: Path,
    model: str,
    root: Path,
) -> StageResult:
    monkeypatch.setitem(kinds.KINDS, "prompt", kind)
    output = str(root / "evaluate")
    config = EvaluateConfig(tasks=tasks, bootstrap_resamples=5)
    return stage.run(config, benchmarks_of(folder), model=model, output=output, work=f"{output}/w")


def facts_of(result: StageResult) -> EvaluateFacts:
    assert isinstance(result.facts, EvaluateFacts)
    return result.facts


def test_a_kind_that_is_added_to_the_table_works_from_settings_to_report(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(
        monkeypatch, KIND, (TASK,), folder=shared_benchmark, model=model_folder, root=tmp_path
    )
    html, markdown = report_on(tmp_path)

    # Five of eight squares are in `test`; no task asks for captions.
    assert result.num_outputs == 5
    assert [file.name for file in result.files if file.name.endswith(".npy")] == [
        "embeddings/squares-images.npy",
        "embeddings/prompt-reds-prompts.npy",
    ]
    found = results.read(str(tmp_path / "evaluate" / "results.json"))
    assert [(metric.name, metric.n) for metric in found.metrics] == [("prompt/reds/positive", 5)]
    assert found.tasks[0].facts == {"prompt": "a red <square>"}
    assert facts_of(result).headline == ["reds, a red <square>: 5 images"]
    assert "Prompted with a red &lt;square&gt;." in html
    assert '<a href="#prompt">Prompts</a>' in html
    assert html.count('<img src="data:image/webp;base64,') == 1  # the map has its own
    assert "Headline numbers for reds" in html
    assert "Retrieval, both ways" not in html
    assert "## Prompts\n\n- a red &lt;square&gt;\n" in markdown


def test_kinds_stand_beside_each_other_on_one_benchmark(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = (
        RetrievalTask(benchmark="squares", gallery_splits=("test",)),
        replace(TASK, split="val"),
    )

    result = run(
        monkeypatch, KIND, tasks, folder=shared_benchmark, model=model_folder, root=tmp_path
    )
    html, _ = report_on(tmp_path)

    found = results.read(str(tmp_path / "evaluate" / "results.json"))
    assert found.metric("prompt/reds/positive").n == 1
    assert found.tasks[0].facts["num_gallery_images"] == 5
    assert [line.split()[0] for line in facts_of(result).headline] == [
        "squares",
        "squares",
        "reds,",
    ]
    assert html.index("Asked for 5 images") < html.index("Prompted with")


def test_a_run_whose_kinds_have_no_headline_ends_with_none(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = replace(KIND, headline=lambda _: ())

    result = run(
        monkeypatch, silent, (TASK,), folder=shared_benchmark, model=model_folder, root=tmp_path
    )

    assert facts_of(result).headline == []
    assert facts_of(result).num_metrics == 1
