"""A task kind of ten lines, in the table for the length of a test: settings to report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from squares import benchmarks_of

from openalign.evaluate import results, stage
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.drawing.numbers import Number, share_number
from openalign.evaluate.drawing.tiles import Tile, Tiles
from openalign.evaluate.report import page
from openalign.evaluate.results import Metric
from openalign.evaluate.tasks import kinds
from openalign.evaluate.tasks.contract import (
    FinishedTask,
    Material,
    Measured,
    Needs,
    Sampling,
    TaskKind,
)
from openalign.evaluate.tasks.retrieval import RetrievalTask
from openalign.files.manifest import Manifest, StageResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTask:
    """How many images of a split have a positive cosine with a prompt."""

    kind: Literal["prompt"] = "prompt"
    name: str = ""
    benchmark: str
    prompt: str


class PromptFacts(msgspec.Struct, frozen=True, kw_only=True):
    prompt: str


class PromptExamples(msgspec.Struct, frozen=True, kw_only=True):
    nearest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSection:
    name: str
    prompt: str
    nearest: Tile
    opening: Sequence[tuple[str, Number]]


def needs(task: PromptTask, images: Sequence[BenchmarkImage]) -> Needs:
    assert len(images) == 8
    return Needs(splits={"val", "test"}, texts={"prompts": [task.prompt]})


def measure(
    task: PromptTask, material: Material, sampling: Sampling
) -> Measured[PromptFacts, PromptExamples]:
    del sampling
    cosines = material.benchmark.image_GD @ material.texts["prompts"][0]
    nearest = material.benchmark.images[int(cosines.argmax())].name
    share = float((cosines > 0).mean())
    return Measured(
        metrics=[
            Metric(
                name=f"prompt/{task.name or task.benchmark}/positive",
                value=share,
                low=share,
                high=share,
                n=len(cosines),
                chance=0.5,
            )
        ],
        facts=PromptFacts(prompt=task.prompt),
        examples=PromptExamples(nearest=nearest),
        shown={nearest},
    )


def section(
    task: FinishedTask[PromptFacts], examples: PromptExamples, tiles: Tiles
) -> PromptSection:
    metric = task.results.metric(f"prompt/{task.name}/positive")
    return PromptSection(
        name=task.name,
        prompt=task.facts.prompt,
        nearest=tiles.tile(examples.nearest),
        opening=[("positive", share_number(metric))],
    )


def template(form: str) -> str:
    if form == "md":
        return (
            "{% macro sections(tasks, confidence) %}{% for t in tasks %}## Prompt: "
            "{{ t.prompt|cell }}{% endfor %}{% endmacro %}"
        )
    return (
        '{% import "macros.html" as draw %}'
        "{% macro lede(t) %}Prompted with {{ t.prompt }}.{% endmacro %}"
        '{% macro navigation(tasks) %}<li><a href="#prompt">Prompts</a></li>{% endmacro %}'
        '{% macro sections(tasks, confidence) %}<section id="prompt">'
        "{% for t in tasks %}<h2>{{ t.prompt }}</h2>{{ draw.one(t.nearest) }}{% endfor %}"
        "</section>{% endmacro %}"
    )


def headline(task: FinishedTask[PromptFacts]) -> list[str]:
    return [f"{task.name} was prompted with {task.facts.prompt}"]


PROMPT = TaskKind(
    settings=PromptTask,
    facts=PromptFacts,
    examples=PromptExamples,
    needs=needs,
    measure=measure,
    section=section,
    template=template,
    headline=headline,
)
TASK = PromptTask(name="reds", benchmark="squares", prompt="a red <square>")


def run(
    monkeypatch: pytest.MonkeyPatch,
    kind: TaskKind[PromptTask, PromptFacts, PromptExamples],
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


def write_report(root: Path) -> tuple[str, str]:
    manifest = Manifest(
        stage="evaluate",
        schema_version=1,
        fingerprint="f",
        settings={"settings": {}},
        inputs={},
        num_inputs=6,
        states={"embedded": 6},
        num_outputs=6,
        files=[],
        facts={},
    )
    page.write(
        manifests={"evaluate": manifest},
        folders={"evaluate": str(root / "evaluate")},
        output=str(root / "report"),
        title="toy",
        credits=(),
    )
    return tuple((root / "report" / f"report.{form}").read_text() for form in ("html", "md"))  # type: ignore[return-value]


def test_a_kind_that_is_added_to_the_table_works_from_settings_to_report(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(
        monkeypatch, PROMPT, (TASK,), folder=shared_benchmark, model=model_folder, root=tmp_path
    )
    html, markdown = write_report(tmp_path)

    # Six of eight squares are in `val` and `test`; no task asks for captions.
    assert result.num_outputs == 6
    assert [file.name for file in result.files if file.name.endswith(".npy")] == [
        "embeddings/squares-images.npy",
        "embeddings/reds-prompts.npy",
    ]
    found = results.read(str(tmp_path / "evaluate" / "results.json"))
    assert [(metric.name, metric.n) for metric in found.metrics] == [("prompt/reds/positive", 6)]
    assert found.tasks[0].facts == {"prompt": "a red <square>"}
    assert result.facts["headline"] == ["reds was prompted with a red <square>"]
    assert "Prompted with a red &lt;square&gt;." in html
    assert '<a href="#prompt">Prompts</a>' in html
    assert html.count("data:image/webp;base64,") == 1
    assert "Headline numbers for reds" in html
    assert "Retrieval, both ways" not in html
    assert "## Prompt: a red &lt;square&gt;" in markdown


def test_kinds_stand_beside_each_other_on_one_benchmark(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = (RetrievalTask(benchmark="squares", gallery_splits=("test",)), TASK)

    result = run(
        monkeypatch, PROMPT, tasks, folder=shared_benchmark, model=model_folder, root=tmp_path
    )
    html, _ = write_report(tmp_path)

    found = results.read(str(tmp_path / "evaluate" / "results.json"))
    assert found.metric("prompt/reds/positive").n == 6
    assert found.tasks[0].facts["num_gallery_images"] == 5
    assert [line.split()[0] for line in result.facts["headline"]] == ["squares", "squares", "reds"]
    assert html.index("Asked for 5 images") < html.index("Prompted with")


def test_a_run_whose_kinds_have_no_headline_ends_with_none(
    shared_benchmark: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = TaskKind(
        settings=PromptTask,
        facts=PromptFacts,
        examples=PromptExamples,
        needs=needs,
        measure=measure,
        section=section,
        template=template,
    )

    result = run(
        monkeypatch, silent, (TASK,), folder=shared_benchmark, model=model_folder, root=tmp_path
    )

    assert result.facts["headline"] == []
    assert result.facts["num_metrics"] == 1
