"""`openalign evaluate --model FOLDER --data NAME=PATH`, and what goes on from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from by_flags import EVALUATE, evaluated, said

from openalign import cli
from openalign.errors import ConfigError
from openalign.evaluate import results
from openalign.evaluate.datasets import kinds
from openalign.evaluate.datasets.captions.karpathy import KarpathyDataset
from openalign.evaluate.datasets.recognition import recognized
from openalign.run.translated.from_flags import described, name_of_model, recorded, root_of


def test_a_model_is_measured_reported_and_searched_without_settings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = said(capsys, *EVALUATE), said(capsys, *EVALUATE)

    assert "evaluate  complete in" in first
    assert "flickr30k test, text to image: R@1/5/10 " in first
    assert "evaluate  up to date" in second
    found = results.read("runs/tiny-align/evaluate/results.json")
    assert found.metric("retrieval/flickr30k/split/text_to_image/recall_at_1").n == 10
    for source in (["--model", "tiny-align"], ["runs/tiny-align"], ["runs/tiny-align/"]):
        shown = said(capsys, "report", *source)
        assert "report: runs/tiny-align/report/report.html" in shown
        assert "model card: runs/tiny-align/report/model-card/README.md" in shown
        assert "data card" not in shown
        assert cli.main(["search", *source, "red", "square", "-k", "1"]) == 0
        [line] = capsys.readouterr().out.splitlines()
        assert Path(line.split()[-1]).exists()
    assert "<title>tiny-align</title>" in Path("runs/tiny-align/report/report.html").read_text()
    assert not Path("pipelines.yaml").exists()


def test_a_run_goes_on_from_the_settings_that_it_keeps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE, "--set", "evaluate.confidence=0.5")

    for source in (["--model", "tiny-align"], ["runs/tiny-align"], ["tiny-align"]):
        assert "up to date" in said(capsys, "evaluate", *source)
    assert cli.main(["validate", "runs/tiny-align"]) == 0
    Path("printed.yaml").write_text(capsys.readouterr().out)
    assert "up to date" in said(capsys, "evaluate", "tiny-align", "--config", "printed.yaml")
    assert "confidence: 0.95" not in Path("printed.yaml").read_text()


@pytest.mark.parametrize(
    ("overrides", "title"),
    [
        (["report.title=cats \U0001f600"], "cats \U0001f600"),
        (["report.title=cats", "report.title=dogs"], "dogs"),
        (["site.kind=openmoji", "site=null"], "tiny-align"),
    ],
    ids=["beyond 16 bits", "the last counts", "a section that is taken away"],
)
def test_overrides_are_kept_as_they_were_read(
    folder: Path, overrides: list[str], title: str
) -> None:
    data = [word for word in EVALUATE if word.startswith("flickr30k=")]

    run = described("tiny-align", data, overrides)

    assert run.config.report.title == title
    run.record()
    assert recorded(run.config.root, []) == run.config


def test_a_run_that_was_moved_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, *EVALUATE)
    Path("runs/tiny-align").rename("elsewhere")

    said(capsys, "report", "./elsewhere")
    said(capsys, "search", "--model", "tiny-align", "--set", "root=elsewhere", "red")

    assert Path("elsewhere/report/report.html").exists()
    assert not Path("runs/tiny-align").exists()


def test_a_run_has_one_root(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, *EVALUATE)

    refused = said(capsys, "report", "runs/tiny-align", "--set", "root=mine", code=2)

    assert "error: runs/tiny-align is the run's root, and `--set root=` names another" in refused


def test_more_data_are_measured_beside_the_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)

    again = said(capsys, *EVALUATE, "--data", "others=squares/dataset.json")

    assert "runs again, because this changed: benchmarks.others" in again
    assert set(evaluated().inputs) == {"model", "benchmarks.flickr30k", "benchmarks.others"}


def test_what_was_measured_on_other_data_is_replaced_only_when_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    before = evaluated()
    others = [*EVALUATE[:4], "others=squares/dataset.json"]

    refused = said(capsys, *others, code=2)

    assert "runs/tiny-align holds what was measured on flickr30k, which would be lost" in refused
    assert "--set root=runs/NAME" in refused
    assert evaluated() == before
    assert "up to date" in said(capsys, *EVALUATE)
    assert "evaluate  complete in" in said(capsys, *others, "--set", "root=runs/second")
    assert "runs again, because this changed" in said(capsys, *others, "--yes")
    assert set(evaluated().inputs) == {"model", "benchmarks.others"}


def test_other_data_of_the_same_name_replace_the_first_only_when_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    before = evaluated()
    shutil.copytree("squares", "moved")
    shutil.copytree("squares", "others")
    listed = Path("others/dataset.json")
    listed.write_text(listed.read_text().replace("square", "circle"))
    others = [*EVALUATE[:4], "flickr30k=others/dataset.json"]

    refused = said(capsys, *others, code=2)

    assert "holds what was measured on flickr30k at another path, which would be lost" in refused
    assert "each with --data and a name of its own" in refused
    assert evaluated() == before
    assert "up to date" in said(capsys, *EVALUATE[:4], "flickr30k=moved/dataset.json")
    assert "the content of `benchmarks.flickr30k`" in said(capsys, *others, "--yes")
    assert "up to date" in said(capsys, *others)


def test_data_that_changed_where_they_lie_are_measured_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    listed = Path("squares/dataset.json")
    listed.write_text(listed.read_text().replace("square", "circle"))

    assert "the content of `benchmarks.flickr30k`" in said(capsys, *EVALUATE)


def test_the_root_can_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, *EVALUATE, "--set", "root=mine")

    assert evaluated("mine").num_outputs == 5
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        pytest.param(
            ["evaluate"],
            "no pipeline is named",
            "name one of the settings file, or a model with --model FOLDER",
            id="nothing",
        ),
        pytest.param(
            ["evaluate", "demo", *EVALUATE[1:]],
            "a pipeline and `--model` exclude each other",
            "name one of them",
            id="a pipeline and a model",
        ),
        pytest.param(
            ["evaluate", "demo", "--data", "a=squares"],
            "`--data` stands beside `--model`",
            "a pipeline names its data sets under `benchmarks:`",
            id="data for a pipeline",
        ),
        pytest.param(
            ["evaluate", "--model", "tiny-align", "--yes"],
            "`--yes` stands beside `--data`",
            "leave it out: without --data, evaluate asks for no consent",
            id="consent to nothing",
        ),
        pytest.param(
            [*EVALUATE, "--config", "mine.yaml"],
            "`--config` and `--model` exclude each other",
            "--set changes settings",
            id="a settings file and a model",
        ),
        pytest.param(
            ["evaluate", "--model", "tiny-align"],
            "runs/tiny-align is not the root of a run that keeps its settings",
            "openalign evaluate --model FOLDER --data NAME=PATH",
            id="no data",
        ),
        pytest.param(
            ["report", "squares/"],
            "squares is not the root of a run that keeps its settings: squares/pipelines.yaml is",
            "openalign evaluate --model FOLDER --data NAME=PATH",
            id="a folder without a run",
        ),
        pytest.param(
            [*EVALUATE[:4], "squares"],
            "--data squares: must be NAME=PATH",
            "`openalign datasets` lists the names",
            id="data without a name",
        ),
        pytest.param(
            [*EVALUATE[:4], "COCO=squares"],
            "--data COCO=squares: name must be lower-case letters",
            "",
            id="a name that cannot be",
        ),
        pytest.param(
            [*EVALUATE, "--data", "flickr30k=squares/dataset.json"],
            "--data flickr30k=squares/dataset.json: two data sets are called `flickr30k`",
            "",
            id="a name twice",
        ),
        pytest.param(
            [*EVALUATE[:4], "flickr30k=nowhere.json"],
            "there is nothing at FOLDER/nowhere.json",
            "",
            id="nothing at the path",
        ),
        pytest.param(
            [*EVALUATE[:4], "flickr30k=squares/composed.json"],
            "FOLDER/squares/composed.json is of none of the forms of `flickr30k`: karpathy (",
            "says how forms are laid out",
            id="another form",
        ),
        pytest.param(
            ["evaluate", "--model", "/", *EVALUATE[3:]],
            "--model /: must be the folder of a model",
            "",
            id="a model without a name",
        ),
        pytest.param(
            ["evaluate", "--model", "squares", *EVALUATE[3:]],
            "FOLDER/squares is not a model folder: config.json, model.safetensors cannot be found",
            "name a Hugging Face ALIGN folder",
            id="no model",
        ),
        pytest.param(
            ["evaluate", "--model", "hf://nobody/nothing", *EVALUATE[3:]],
            "hf://nobody/nothing cannot be read: ",
            "hf auth login",
            id="a hub that does not answer",
        ),
        pytest.param(
            ["evaluate", "--model", "tiny-align", "--data", "flickr30k=hf://datasets/a/b"],
            "hf://datasets/a/b cannot be reached",
            "hf auth login",
            id="data on a hub that does not answer",
        ),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    error: str,
    hint: str,
) -> None:
    refused = said(capsys, *words, code=2)

    assert f"error: {error.replace('FOLDER/', f'{folder}/')}" in refused
    assert hint in refused
    assert not (folder / "runs").exists()


def test_a_path_of_two_forms_is_taken_for_the_first_unless_its_name_tells(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = kinds.KINDS["karpathy"]
    other = replace(kind, recognize=lambda *_: KarpathyDataset(path="other.json"), names=())
    monkeypatch.setitem(kinds.KINDS, "other", other)
    path = f"{folder}/squares/dataset.json"

    found = [recognized(name, path) for name in ("mine", "karpathy", "mscoco", "other")]

    assert [each for settings in found for each in settings.values()] == [
        *[KarpathyDataset(path=path)] * 3,
        KarpathyDataset(path="other.json"),
    ]


def test_data_that_nothing_is_usually_measured_on_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kinds.KINDS, "karpathy", replace(kinds.KINDS["karpathy"], tasks=()))

    refused = said(capsys, *EVALUATE[:4], "karpathy=squares/dataset.json", code=2)

    assert "nothing is measured on the kind `karpathy` unless a task is named" in refused


def test_a_collection_is_measured_data_set_by_data_set(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{folder}/squares/dataset.json"
    many = {f"many_{number}": KarpathyDataset(path=path) for number in (1, 2)}
    kind = replace(kinds.KINDS["karpathy"], names=("many",), expand=lambda *_: many)
    monkeypatch.setitem(kinds.KINDS, "karpathy", kind)

    said(capsys, *EVALUATE[:4], f"many={path}")

    assert list(evaluated().inputs) == ["benchmarks.many_1", "benchmarks.many_2", "model"]


def replace_in_place(folder: Path) -> None:
    settings = folder / "tiny-align" / "tokenizer_config.json"
    settings.write_text(settings.read_text() + "\n")


def test_a_model_whose_files_changed_is_measured_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    replace_in_place(folder)

    assert "the content of `model`" in said(capsys, *EVALUATE)


def test_results_of_an_older_version_are_made_again(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, *EVALUATE)
    monkeypatch.setattr("openalign.run.stages.RESULTS_VERSION", results.RESULTS_VERSION + 1)

    assert "because this changed: results_version: 5 -> 6" in said(capsys, *EVALUATE)


def test_a_moved_model_goes_on_and_another_one_of_its_name_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    (folder / "moved").mkdir()
    shutil.move("tiny-align", "moved/tiny-align")
    moved = ("evaluate", "--model", "moved/tiny-align", *EVALUATE[3:])

    assert "up to date" in said(capsys, *moved)
    said(capsys, "report", "--model", "moved/tiny-align")
    shutil.copytree("moved/tiny-align", "tiny-align")
    replace_in_place(folder)
    for command in (EVALUATE, ("report", "--model", "tiny-align")):
        refused = said(capsys, *command, code=2)
        assert "runs/tiny-align holds what was measured on another model than" in refused
        assert "--set root=runs/NAME" in refused
    said(capsys, *EVALUATE, "--set", "root=runs/second")


def test_the_run_of_a_pipeline_is_not_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    Path("runs/tiny-align/pipelines.yaml").unlink()
    replace_in_place(folder)
    before = evaluated()

    assert "runs/tiny-align holds what was measured on another" in said(capsys, *EVALUATE, code=2)

    assert evaluated() == before


def test_settings_that_a_root_keeps_are_checked_like_any(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE)
    kept = Path("runs/tiny-align/pipelines.yaml")
    text = kept.read_text()
    assert list(yaml.safe_load(text)) == ["tiny-align"]

    kept.write_text(text.replace("gallery_splits", "gallery"))
    assert "pipelines.yaml:" in said(capsys, "report", "runs/tiny-align", code=2)
    kept.write_text(text + "\nsecond: {}\n")
    assert "must hold one pipeline, got 2" in said(capsys, "report", "runs/tiny-align", code=2)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/models/align-base", "align-base"),
        ("/models/align-base/", "align-base"),
        ("hf://kakaobrain/align-base", "align-base"),
        ("hf://kakaobrain/align-base@refs/pr/1", "align-base"),
        ("/models/ALIGN v2 (b7)", "ALIGN-v2-b7"),
        ("runs/tune/train/export", "tune-export"),
        ("gs://bucket/runs/tune/train/export/", "tune-export"),
    ],
)
def test_a_run_is_called_as_its_model(model: str, name: str) -> None:
    assert name_of_model(model) == name
    assert root_of(model, []) == f"runs/{name}"
    assert root_of(model, ["root=gs://bucket/a", "train.seed=1"]) == "gs://bucket/a"


def test_a_pipeline_has_no_slash_in_its_name(folder: Path) -> None:
    from openalign.run.config import load_pipeline

    Path("pipelines.yaml").write_text("a/b: {}\n")

    with pytest.raises(ConfigError, match=r"pipelines\.yaml:1: `a/b` cannot be the name"):
        load_pipeline("pipelines.yaml", "a/b")
