"""`openalign report RUN RUN --output FOLDER`: what it writes, and what it refuses beforehand."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from paper_results import metric, whole_run

from openalign import cli
from openalign.evaluate import results
from openalign.evaluate.results import Results
from openalign.files.manifest import StageFolder, StageInputs, StageResult
from openalign.files.names import RESULTS_FILE, RUN_SETTINGS_FILE

PIPELINES = """\
first:
  benchmarks: {flickr30k: {kind: karpathy, path: none.json}}
  evaluate: {model: some/model, tasks: [{kind: retrieval, benchmark: flickr30k}]}
second: {extends: first}
bare: {extends: first}
"""


def seal(root: Path, found: Results) -> None:
    """Leave complete results in a run's root."""
    inputs = StageInputs(settings={}, contents={})
    folder = StageFolder(str(root), "evaluate")
    partial = Path(folder.partial_url(inputs.fingerprint))
    partial.mkdir(parents=True)
    (partial / RESULTS_FILE).write_text(results.to_json(found))
    folder.seal(StageResult(num_inputs=1, states={"embedded": 1}, num_outputs=1, files=[]), inputs)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two complete runs of pipelines and one that has measured nothing."""
    monkeypatch.chdir(tmp_path)
    Path("pipelines.yaml").write_text(PIPELINES)
    seal(Path("runs/first"), whole_run("first", value=0.5).results)
    second = whole_run("second", value=0.75).results
    more = (*second.metrics, metric("retrieval/mine/x", 0.125, n=3))
    seal(Path("runs/second"), msgspec.structs.replace(second, metrics=more))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main(["report", *words]) == code
    return capsys.readouterr().err


def test_two_runs_have_a_row_each_in_one_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("pipelines.yaml", "runs/second/")  # a run that flags describe keeps its settings
    keeps = Path("runs/second") / RUN_SETTINGS_FILE
    keeps.write_text("second:" + PIPELINES.partition("first:")[2].partition("second:")[0])

    assert "report: both/report.html" in said(capsys, "first", "runs/second", "--output", "both")

    assert {path.name for path in Path("both").iterdir()} == {"report.html", "report.md", "tables"}
    html = Path("both/report.html").read_text()
    assert "<title>first, second</title>" in html
    # A row a table, and in Tables 5 to 7 four more, of other tasks and measures.
    assert html.count('<tr class="own">') == 2 * (11 + 4)
    with Path("both/tables/table-4.csv").open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert [(row["Model"], row["ImageNet"]) for row in rows[:3]] == [
        ("first", "50.0"),
        ("second", "75.0"),
        ("CLIP", "76.2"),
    ]
    markdown = Path("both/report.md").read_text()
    assert "| retrieval/mine/x | - | 0.125 (0.115 to 0.135, n 3) |" in markdown
    assert "| second | - | zero-shot | 75.0 (74.0 to 76.0, n 50,000) |" in markdown
    assert not Path("runs/first/report").exists()


def test_runs_may_be_named_behind_the_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "first", "--output", "both", "second")

    assert Path("both/report.html").exists()


def test_an_earlier_report_is_replaced_whole_and_the_same_runs_give_the_same_bytes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "first", "second", "--output", "both")
    before = {path: path.read_bytes() for path in Path("both").rglob("*.*")}
    Path("both/tables/table-0.csv").write_text("of an earlier report")

    said(capsys, "first", "second", "--output", "both")

    assert {path: path.read_bytes() for path in Path("both").rglob("*.*")} == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["first", "second"], "a report on several runs lies in none of them"),
        (["first", "--output", "both"], "`--output` is for a report on several runs"),
        (["first", "first", "--output", "both"], "two runs are called `first`"),
        (["first", "runs/first", "--output", "both"], "two runs are called `first`"),
        (["first", "bare", "--output", "both"], "runs/bare/evaluate is not complete"),
        (["first", "third", "--output", "both"], "third"),
        (["first", "elsewhere/third", "--output", "both"], "elsewhere/third is not the root"),
        (["first", "/", "--output", "both"], "/ is not the root of a run"),
        (["first", "second", "--output", "pipelines.yaml"], "--output pipelines.yaml is a file"),
        (["first", "second", "--output", "runs"], "--output runs holds other files, such as first"),
        (["first", "second", "--output", "pipelines.yaml/x"], "--output pipelines.yaml/x cannot"),
        (["--model", "some/model", "first", "second", "--output", "both"], "`--model` names one"),
    ],
    ids=[
        "no output", "one run", "a run twice", "a name twice", "no results", "no pipeline",
        "no root", "the highest root", "a file", "a folder in use", "no folder", "a model",
    ],
)  # fmt: skip
def test_bad_input_is_an_error_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    if "runs/first" in words:
        Path("runs/first", RUN_SETTINGS_FILE).write_text(PIPELINES.partition("second:")[0])
    before = sorted(path for path in folder.rglob("*") if path.is_file())

    assert error in said(capsys, *words, code=2)

    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before


def test_results_of_another_version_are_an_error_that_names_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("runs/second/evaluate", RESULTS_FILE)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"version": 2}))

    refused = said(capsys, "first", "second", "--output", "both", code=2)

    assert "runs/second/evaluate/results.json: has version 2" in refused
    assert not Path("both").exists()


def test_the_interval_is_named_only_where_runs_agree_on_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "first", "second", "--output", "both")
    third = whole_run("third")
    settings = {**third.results.settings, "confidence": 0.5}
    other = replace(third, results=msgspec.structs.replace(third.results, settings=settings))
    seal(Path("runs/bare"), other.results)

    said(capsys, "first", "bare", "--output", "mixed")

    assert "its 95 % interval" in Path("both/report.md").read_text()
    assert "its interval" in Path("mixed/report.md").read_text()
