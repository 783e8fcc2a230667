"""`openalign compare RUN_A RUN_B`, on two tiny models and on results that a test wrote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from chosen_evaluations import Run, number

from openalign import cli
from openalign.evaluate.metrics.resampled import read_resamples

BASE = [0.1, 0.2, 0.3, 0.4, 0.5]
GOOD = Run(numbers=[number("x", 0.5, BASE), number("y", 0.5, BASE)])
BAD = Run(numbers=[number("x", 0.1, [0.0] * 5), number("y", 0.5, BASE)])


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the runs `good`, `bad` and `again`, which equals `good`."""
    monkeypatch.chdir(tmp_path)
    for name, run in (("good", GOOD), ("bad", BAD), ("again", GOOD)):
        run.sealed(f"runs/{name}")
    return tmp_path


def test_a_run_that_got_worse_ends_in_1(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "runs/good", "runs/bad/"]) == 1

    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith("bad against good: 2 of 2 metrics compared")
    assert "1 worse, 0 better, 1 no difference seen" in said.out
    assert "comparison: runs/bad/compare/compare.html" in said.err
    assert "bad against good" in Path("runs/bad/compare/compare.html").read_text()


def test_the_other_way_round_and_equal_runs_end_in_0(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", "runs/bad", "runs/good"]) == 0
    assert "0 worse, 1 better, 1 no difference seen" in capsys.readouterr().out
    assert cli.main(["compare", "runs/good", "runs/again"]) == 0
    assert "0 worse, 0 better, 2 no difference seen" in capsys.readouterr().out


def test_metrics_and_confidence_are_chosen_and_the_page_goes_where_it_is_told(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "runs/good", "runs/again", "runs/bad", "--output", "page"]

    assert cli.main([*words, "--metrics", "*/y", "--confidence", "0.4"]) == 0

    found = json.loads(Path("page/compare.json").read_text())
    assert (found["confidence"], found["metrics"]) == (0.4, ["*/y"])
    assert [run["name"] for run in found["runs"]] == ["again", "bad"]
    assert [len(run["differences"]) for run in found["runs"]] == [1, 1]
    assert not Path("runs/again/compare").exists()


def test_a_pipeline_is_named_as_anywhere(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(
        "old: {root: runs/good, evaluate: {model: m}}\nnew: {extends: old, root: runs/bad}\n"
    )

    assert cli.main(["compare", "old", "new", "--config", "mine.yaml"]) == 1

    assert capsys.readouterr().out.startswith("new against old: ")


def test_a_run_may_be_called_by_its_name_where_no_pipeline_has_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pipelines.yaml").write_text("bad: {root: runs/again, evaluate: {model: m}}\n")

    assert cli.main(["compare", "good", "bad"]) == 0  # the pipeline's run, and not runs/bad

    assert capsys.readouterr().out.startswith("bad against good: ")
    assert Path("runs/again/compare").exists()


def test_runs_of_one_name_get_numbers(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("runs/good", "kept/good")

    assert cli.main(["compare", "kept/good", "runs/good"]) == 0

    assert capsys.readouterr().out.startswith("good (2) against good (1): ")


def test_neither_path_nor_clock_enters_the_files(runs: Path) -> None:
    shutil.copytree("runs", "moved/further")

    cli.main(["compare", "runs/good", "runs/bad"])
    cli.main(["compare", "moved/further/good", "moved/further/bad"])

    for name in ("compare.html", "compare.md", "compare.json"):
        here, there = (Path(root, "bad/compare", name) for root in ("runs", "moved/further"))
        assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        pytest.param(
            ["runs/good", "runs/good/"],
            "runs/good is named twice",
            "name the baseline, then the runs",
            id="the same run twice",
        ),
        pytest.param(
            ["runs/good", "runs/nothing"],
            "runs/nothing/evaluate is not complete",
            "run `openalign evaluate runs/nothing` first",
            id="no results",
        ),
        pytest.param(
            ["runs/good", "/"],
            "/evaluate is not complete",
            "run `openalign evaluate /` first",
            id="the root of the file system",
        ),
        pytest.param(
            ["runs/good", "models/tiny-align/"],
            "models/tiny-align is the folder of a model, and runs are compared",
            "measure it first: openalign evaluate --model models/tiny-align --data NAME=PATH; then "
            "name its run, runs/tiny-align",
            id="a model by its path",
        ),
        pytest.param(
            ["models", "runs/good"],
            "models is the folder of a model, and runs are compared",
            "measure it first: openalign evaluate --model models --data NAME=PATH",
            id="a model in this folder",
        ),
        pytest.param(
            ["runs/good", "runs/old"],
            "runs/old/evaluate/results.json: has version 3, this program reads 5",
            "run `openalign evaluate` again",
            id="an older version",
        ),
        pytest.param(
            ["runs/good", "runs/edited"],
            "runs/edited/evaluate/results.json was changed after it was written",
            "take an unchanged copy",
            id="an edited number",
        ),
        pytest.param(
            ["runs/good", "runs/swapped"],
            "runs/swapped/evaluate/resamples.parquet was changed after it was written",
            "take an unchanged copy",
            id="resamples of another run",
        ),
        pytest.param(
            ["runs/good", "runs/half"],
            "runs/half/evaluate/resamples.parquet is gone",
            "remove runs/half/evaluate and run `openalign evaluate` again",
            id="no resamples",
        ),
        pytest.param(
            ["runs/good", "runs/other"],
            "nothing of other can be compared with good: other data (pets)",
            "measure both on the same data",
            id="other data",
        ),
        pytest.param(
            ["fine", "runs/bad"], "pipelines.yaml", "", id="a pipeline without a settings file"
        ),
        pytest.param(
            ["runs/good", "runs/bad", "--confidence", "95"],
            "--confidence 95: must be above 0 and below 1",
            "0.99 for 99 %",
            id="a confidence in percent",
        ),
        pytest.param(
            ["runs/good", "runs/bad", "--metrics", "recall"],
            "--metrics recall: no metric is called so",
            "retrieval/pets/x",
            id="no such metric",
        ),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], error: str, hint: str
) -> None:
    Run(numbers=GOOD.numbers, hashes={"dataset/pets": "e"}).sealed("runs/other")
    for name in ("old", "half", "edited", "swapped"):
        shutil.copytree("runs/good", f"runs/{name}")
    Path("runs/half/evaluate/resamples.parquet").unlink()
    for model in ("models", "models/tiny-align"):
        Path(model).mkdir()
        Path(model, "config.json").touch()
    edited = Path("runs/edited/evaluate/results.json")
    edited.write_text(edited.read_text().replace('"value": 0.5', '"value": 0.9'))
    shutil.copy("runs/bad/evaluate/resamples.parquet", "runs/swapped/evaluate/")
    old = Path("runs/old/evaluate/results.json")
    old.write_text(old.read_text().replace('"version": 5', '"version": 3'))

    assert cli.main(["compare", *words]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert error in said.err
    assert hint in said.err
    assert not list(runs.rglob("compare.*"))


def test_two_models_are_compared_by_what_evaluate_kept(
    benchmark_folder: Path,
    model_folder: str,
    other_model_folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = f"flickr30k={benchmark_folder}/dataset.json"
    for name, model in (("one", model_folder), ("two", other_model_folder)):
        root = f"root=runs/{name}"
        assert cli.main(["evaluate", "--model", model, "--data", data, "--set", root]) == 0

    code = cli.main(["compare", "runs/one", "runs/two"])

    (run,) = json.loads(Path("runs/two/compare/compare.json").read_text())["runs"]
    assert run["not_compared"] == []
    one, two = (read_resamples(f"runs/{run}/evaluate/resamples.parquet") for run in ("one", "two"))
    assert [each["metric"] for each in run["differences"]] == list(one)
    for each in run["differences"]:
        drawn = sorted(two[each["metric"]] - one[each["metric"]])
        # 95 % of 1,000: between the 25th and 26th value from either end, 24.975 steps in.
        assert each["low"] == pytest.approx(np.interp(24.975, [24, 25], drawn[24:26]))
        assert each["high"] == pytest.approx(np.interp(974.025, [974, 975], drawn[974:976]))
        assert each["difference"] == each["value"] - each["baseline"]
    assert code == int(any(each["verdict"] == "worse" for each in run["differences"]))
    assert any(each["difference"] for each in run["differences"])
