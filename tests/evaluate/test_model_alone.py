"""A pipeline that measures a model and has no stage before that, through the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from squares import RETRIEVAL, benchmarks_of, config_of

from openalign import cli
from openalign.evaluate import results
from openalign.files import storage
from openalign.files.facts import Facts, NearDuplicateFacts, SelectFacts, TrainFacts
from openalign.files.manifest import DataFile, StageFolder, StageInputs, StageResult
from openalign.run.config import load_pipeline
from openalign.settings.fields import to_plain


@pytest.fixture
def folder(
    benchmark_folder: Path, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a folder with a model, a benchmark and settings of nothing else."""
    shutil.copytree(model_folder, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path, benchmark_folder)
    return tmp_path


def write_pipeline(folder: Path, benchmark: Path, **sections: Any) -> None:
    config = to_plain(config_of(benchmark, model="model"))
    pipeline = {"benchmarks": to_plain(benchmarks_of(benchmark)), "evaluate": config, **sections}
    (folder / "pipelines.yaml").write_text(yaml.safe_dump({"squares": pipeline}))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Run a command and return what it said on stderr."""
    capsys.readouterr()
    assert cli.main(words) == code
    return capsys.readouterr().err


def test_a_run_measures_and_reports_and_has_no_other_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = said(capsys, "run", "squares")
    second = said(capsys, "run", "squares")

    root = folder / "runs" / "squares"
    assert sorted(p.name for p in root.iterdir() if not p.name.startswith(".")) == [
        "evaluate",
        "report",
        "run.jsonl",
    ]
    left_out = "harvest, filter, fetch, select, train left out: the pipeline names no source"
    assert left_out in first
    assert second.count("up to date") == 2
    html = (root / "report" / "report.html").read_text()
    assert "This run has no stages that gather data." in html
    assert "trained on" not in html.partition("<main")[0]


def test_search_asks_the_model_that_was_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "evaluate", "squares")

    assert cli.main(["search", "squares", "red square", "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert cli.main(["search", "squares", "red square", "-k", "2", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)

    assert len(lines) == 2
    for line, hit in zip(lines, hits, strict=True):
        assert hit["caption"].endswith(" square")
        assert line.split()[2:] == [*hit["caption"].split(), hit["path"]]


def test_a_stage_that_the_pipeline_has_not_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("harvest", "filter", "fetch", "select", "train"):
        error = said(capsys, verb, "squares", code=2)

        assert f"error: {verb} has nothing to do: the pipeline names no source" in error
    assert not (folder / "runs").exists()


def test_validate_shows_a_pipeline_that_loads_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["validate", "squares", "--explain"]) == 0
    (folder / "printed.yaml").write_text(capsys.readouterr().out)
    assert cli.main(["validate"]) == 0

    assert load_pipeline("printed.yaml", "squares") == load_pipeline("pipelines.yaml", "squares")
    assert "contact" not in capsys.readouterr().out  # nothing asks the web


def test_a_pipeline_without_a_model_and_without_a_source_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = said(capsys, "evaluate", "squares", "--set", "evaluate.model=''", code=2)

    assert "error: pipelines.yaml:2: `squares` must have a `harvest`, or name an " in error
    assert "evaluate: {model: FOLDER}" in error


def test_a_pipeline_with_a_model_and_without_a_task_has_no_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = said(capsys, "run", "squares", "--set", "evaluate.tasks=[]", code=2)

    assert "error: squares has no stage: it names no source (`harvest`) and no task" in error
    assert "report has nothing to do: the pipeline names no task" in said(
        capsys, "report", "squares", "--set", "evaluate.tasks=[]", code=2
    )


def test_another_model_is_measured_again_and_a_moved_one_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "evaluate", "squares")
    shutil.copytree("model", "elsewhere")
    settings = Path("elsewhere/tokenizer_config.json")

    moved = said(capsys, "evaluate", "squares", "--set", "evaluate.model=elsewhere")
    settings.write_text(settings.read_text() + "\n")
    changed = said(capsys, "evaluate", "squares", "--set", "evaluate.model=elsewhere")

    assert "evaluate  up to date" in moved
    assert "runs again, because this changed: the content of `model`" in changed
    manifest = StageFolder("runs/squares", "evaluate").require()
    assert set(manifest.inputs) == {"benchmarks.squares", "model", "tasks.composed/edits"}


@pytest.mark.parametrize(
    ("model", "error"),
    [
        pytest.param("nowhere", "nowhere cannot be read: there is no such file or", id="missing"),
        pytest.param("runs", "runs is not a model folder: config.json, mod", id="without files"),
        pytest.param("model/config.json", "model/config.json is a file, a folder is", id="a file"),
    ],
)
def test_a_folder_without_a_model_is_named_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str, error: str
) -> None:
    (folder / "runs" / "other").mkdir(parents=True)

    assert error in said(capsys, "evaluate", "squares", "--set", f"evaluate.model={model}", code=2)

    assert [path.name for path in (folder / "runs").iterdir()] == ["other"]


FACTS: dict[str, Facts] = {
    "selected": SelectFacts(
        near_duplicates=NearDuplicateFacts(method="exact", radius_bits=6, num_held_out=0)
    ),
    "train": TrainFacts(steps=7, skipped_steps=0, sample_hash="5a", vocabulary_size=18),
}


@pytest.mark.parametrize("is_folder", [False, True], ids=["a broken link", "a folder"])
def test_a_name_without_a_file_behind_it_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], *, is_folder: bool
) -> None:
    weights = folder / "model" / "model.safetensors"
    weights.unlink()
    if is_folder:
        weights.mkdir()
    else:
        weights.symlink_to("nowhere")

    message = said(capsys, "evaluate", "squares", code=2)

    assert "model/model.safetensors is named in its folder, and there is no such file" in message


def seal_training(root: Path, model: Path) -> None:
    """Seal stages up to `train`, as if a run had trained the model."""
    inputs: dict[str, str] = {}
    for stage, reads in (
        ("candidates", ()),
        ("filtered", ("harvest",)),
        ("shards", ("filter",)),
        ("selected", ("fetch",)),
        ("train", ("select", "fetch")),
    ):
        place = StageFolder(str(root), stage)
        depends = StageInputs(
            settings={"settings": {}}, contents={name: inputs[name] for name in reads}
        )
        partial = Path(place.partial_url(depends.fingerprint))
        partial.mkdir(parents=True)
        files: list[DataFile] = []
        if stage == "train":
            shutil.copytree(model, partial / "export")
            files = [
                DataFile.of(f"export/{f.name}", storage.found_at(str(f)), num_rows=1)
                for f in model.iterdir()
            ]
        facts = FACTS.get(stage, Facts())
        result = StageResult(
            num_inputs=1, states={"made": 1}, num_outputs=1, files=files, facts=facts
        )
        names = {"candidates": "harvest", "filtered": "filter", "shards": "fetch"}
        name = names.get(stage, "select" if stage == "selected" else stage)
        inputs[name] = place.seal(result, depends).content_fingerprint()


@pytest.fixture
def trained(folder: Path, benchmark_folder: Path) -> Path:
    """Return the export of a run that has trained."""
    harvest = {"source": {"kind": "table", "path": "never read"}}
    write_pipeline(folder, benchmark_folder, harvest=harvest)
    seal_training(folder / "runs" / "squares", folder / "model")
    return folder / "runs" / "squares" / "train" / "export"


OWN = ("--set", "evaluate.model=''")


def change_bytes(export: Path) -> None:
    """Change bytes of weights; the file stays as long as it was."""
    weights = export / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-110:] = bytes(110)
    weights.write_bytes(content)


def put_decoy(export: Path) -> None:
    (export / "special_tokens_map.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        pytest.param(change_bytes, "model.safetensors was changed after `train` ended", id="bytes"),
        pytest.param(put_decoy, "special_tokens_map.json was put there after", id="a file more"),
        pytest.param(
            lambda e: (e / "tokenizer_config.json").unlink(),
            "tokenizer_config.json is gone",
            id="a file less",
        ),
    ],
)
def test_an_export_that_is_not_what_train_wrote_is_neither_measured_nor_searched(
    trained: Path, capsys: pytest.CaptureFixture[str], damage: Any, error: str
) -> None:
    said(capsys, "evaluate", "squares", *OWN)
    damage(trained)

    again = ("--set", "evaluate.confidence=0.5")
    for command in (("evaluate", "squares", *OWN, *again), ("search", "squares", "red", *OWN)):
        refused = said(capsys, *command, code=2)

        assert f"error: runs/squares/train/export/{error}" in refused
        assert "remove runs/squares/train and run `openalign train squares`" in refused


def cards_in(report: str) -> dict[str, str]:
    """Return the cards that the manifest of a report lists, by their names."""
    names = StageFolder(*report.rsplit("/", 1)).require().names("")
    return {name: Path(report, name).read_text() for name in names if name.endswith("README.md")}


def test_the_report_tells_nothing_of_a_training_that_made_another_model(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "evaluate", "squares")
    said(capsys, "report", "squares")
    of_another = Path("runs/squares/report/report.html").read_text()
    cards_of_another = cards_in("runs/squares/report")
    said(capsys, "evaluate", "squares", *OWN)
    said(capsys, "report", "squares", *OWN)
    of_its_own = Path("runs/squares/report/report.html").read_text()
    its_cards = cards_in("runs/squares/report")

    assert "trained on 1 pairs" in of_its_own
    assert "trained on" not in of_another.partition("<main")[0]
    assert "This run has no stages that gather data." in of_another
    assert list(cards_of_another) == ["model-card/README.md"]
    assert list(its_cards) == ["data-card/README.md", "model-card/README.md"]
    assert "not trained here" in cards_of_another["model-card/README.md"]
    assert "trained on\n1 pairs of images" in its_cards["model-card/README.md"]
    assert "| updates | 7 |" in its_cards["model-card/README.md"]
    error = said(capsys, "report", "squares", code=2)
    assert "runs/squares/evaluate was made from a result of `train`, which this pipeline" in error
    assert "run `openalign evaluate squares` first" in error


def test_results_hold_no_place_of_the_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "evaluate", "squares")

    found = results.read("runs/squares/evaluate/results.json")
    manifest = Path("runs/squares/evaluate/manifest.json").read_text()
    assert found.tasks[0].name == RETRIEVAL.benchmark
    assert "model" not in found.settings
    assert str(folder) not in manifest
