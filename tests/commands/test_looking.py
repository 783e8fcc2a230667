"""`status`, `show`, `explain` and `clean`, on a run of harvest and filter."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openalign import cli
from openalign.files import leases
from openalign.files.locks import holder_of, locked
from openalign.files.manifest import StageFolder, StageInputs, StageResult
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.stages import STAGES
from openalign.run.verbs.showing import Shown, is_page, lines
from openalign.train.checkpoints.manifest import CheckpointManifest, Progress, sealed

PIPELINE = """\
pairs:
  root: run
  harvest: {source: {kind: table, path: pairs.parquet}, num_files: 2}
  filter: {text: {frequent: {kind: min_count, at_least: 1}}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which five candidates were harvested and three kept."""
    folder = tmp_path_factory.mktemp("made")
    captions = ["a red apple", "a green pear", "plum", "a blue sky above", "plums"]
    urls = [f"https://example.org/{n}.jpg" for n in range(5)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), folder / "pairs.parquet")
    (folder / "pipelines.yaml").write_text(PIPELINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["harvest", "pairs"]) == 0
        assert cli.main(["filter", "pairs"]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that folder; commands are run in it."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    return copy


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main(list(words)) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def standing(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, Any]]:
    rows = json.loads(said(capsys, "status", "pairs", "--json", *options))
    return {row["name"]: row for row in rows}


# status -------------------------------------------------------------------------------------------


def test_status_says_what_is_complete_and_what_is_not_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "status", "pairs").splitlines()

    assert [line.split()[:4] for line in lines[1:4]] == [
        ["harvest", "complete", "5", "5"],
        ["filter", "complete", "3", "5"],
        ["fetch", "not", "made", "run/shards"],
    ]
    assert lines[-1] == "openalign run pairs makes what is not complete"
    size = sum(path.stat().st_size for path in (folder / "run/filtered").glob("*.parquet"))
    found = standing(capsys)["filter"]
    assert found["num_bytes"] > size  # with the n-grams
    assert found["seconds"] >= 0


def test_status_says_what_is_stale_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = standing(capsys, "--set", "harvest.num_files=3")

    assert (found["harvest"]["state"], found["filter"]["state"]) == ("stale", "stale")
    assert "num_files: 2 -> 3" in found["harvest"]["why"]
    assert "harvest has other settings" in found["filter"]["why"]
    assert [found[name]["has_other_settings"] for name in ("harvest", "filter", "fetch")] == [
        True,
        True,
        False,
    ]


def test_a_stage_says_of_results_that_it_reads_what_status_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = ["--set", "harvest.num_files=3"]

    assert said(capsys, "status", "pairs", *change).splitlines()[-1] == (
        "what has other settings: name the same --set if one was given when it was made"
    )
    assert cli.main(["filter", "pairs", *change]) == 0

    [line] = [line for line in capsys.readouterr().err.splitlines() if "as they are" in line]
    assert "harvest has other settings (num_files: 2 -> 3)" in line
    assert "openalign run pairs makes it again" in line
    assert cli.main(["filter", "pairs"]) == 0
    assert "as they are" not in capsys.readouterr().err


def test_a_run_is_named_by_its_root_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("status", "show"):
        by_name, by_root = (json.loads(said(capsys, verb, r, "--json")) for r in ("pairs", "./run"))
        assert by_root == by_name
    assert "./none is not the root of a run" in said(capsys, "status", "./none", code=2)


def test_a_root_of_two_pipelines_is_named_by_neither(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("pipelines.yaml").open("a") as settings:
        settings.write("\nothers: {extends: pairs}\n")
    assert "./run is not the root of a run that keeps" in said(capsys, "status", "./run", code=2)


def test_a_result_that_was_made_from_another_one_is_stale(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [f"https://example.org/{n}.jpg" for n in range(2)]
    pq.write_table(pa.table({"url": urls, "caption": ["a b c", "a b c d"]}), "pairs.parquet")
    assert cli.main(["harvest", "pairs", "--yes"]) == 0

    found = standing(capsys)

    assert found["harvest"]["state"] == "complete"
    assert found["filter"]["state"] == "stale"
    assert found["filter"]["why"] == "it was made from another result of harvest"


def begin_training(folder: Path, *, step: int, duration: dict[str, int | None]) -> None:
    """Leave what a training leaves that was stopped behind a step."""
    checkpoint = folder / "run" / ".train.0c1f" / "checkpoints" / f"step-{step:08d}"
    checkpoint.mkdir(parents=True)
    said_of_itself = CheckpointManifest(
        progress=Progress(step=step),
        made_from={},
        settings={"duration": duration},
        parameters={},
        buffers={},
        files={},
    )
    (checkpoint / "checkpoint.json").write_bytes(sealed(said_of_itself))


@pytest.mark.parametrize(
    ("duration", "far"),
    [
        ({"steps": 300, "epochs": None}, "step 24 of 300"),
        ({"steps": None, "epochs": 2}, "step 24"),
    ],
    ids=["steps", "epochs"],
)
@pytest.mark.parametrize("is_complete", [False, True], ids=["alone", "beside a complete one"])
def test_status_tells_of_a_training_that_was_begun(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    duration: dict[str, int | None],
    far: str,
    *,
    is_complete: bool,
) -> None:
    (folder / "pipelines.yaml").write_text(PIPELINE + "  train: {}\n")
    assert "begun:" not in said(capsys, "status", "pairs")
    if is_complete:
        stage = StageFolder("run", "train")
        inputs = StageInputs(settings={}, contents={})
        Path(stage.partial_url(inputs.fingerprint)).mkdir()
        stage.seal(StageResult(num_inputs=0, states={}, num_outputs=0, files=[]), inputs)
    begin_training(folder, step=24, duration=duration)
    line = f"begun: {far} in run/.train.0c1f; openalign train pairs with its settings goes on there"

    assert line in said(capsys, "status", "pairs").splitlines()
    assert standing(capsys)["train"]["begun"] == [
        {"folder": "run/.train.0c1f", "step": 24, "num_steps": duration["steps"]}
    ]
    assert (standing(capsys)["train"]["num_bytes"] is not None) == is_complete
    with StageFolder("run", "train").locked():
        assert "begun:" not in said(capsys, "status", "pairs")  # it is running


def test_status_names_the_process_that_is_at_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked("run/.lock-filtered", busy="it is busy"):
        found = standing(capsys)["filter"]
        assert found["state"] == "running"
        assert found["why"].startswith("process ")
    assert standing(capsys)["filter"]["state"] == "complete"


def test_a_result_that_was_begun_is_unfinished(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = StageFolder("run", "shards").partial_url("0123456789abcdef0123")
    Path(begun).mkdir()

    found = standing(capsys)["fetch"]

    assert found["state"] == "unfinished"
    assert begun in found["why"]


def test_a_complete_run_is_told_what_to_look_at(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PIPELINE.replace("pairs:", "pairs:\n  evaluate: {model: m}").partition("  harvest")[0]
    (folder / "pipelines.yaml").write_text(text)

    # A pipeline that names a model and no task has no stage.
    assert "all is up to date; openalign show pairs" in said(capsys, "status", "pairs")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder; it has neither a settings file nor a run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_that_lies_elsewhere_is_said_to_be_missing_here(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = f"there is no runs/demo in {elsewhere}"
    assert said(capsys, "status", "demo").splitlines()[-2].startswith(f"{missing}; a run that was")
    error = said(capsys, "search", "demo", "potted plant", code=2)
    assert error.startswith("error: demo is not evaluated, nor complete: site, harvest, ")
    assert missing in error
    assert "hint: `openalign run demo` makes them all" in error


def test_a_root_that_is_there_is_not_said_to_be_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs/demo").mkdir(parents=True)
    assert "there is no" not in said(capsys, "status", "demo")


def test_recipes_are_not_said_to_be_ones_own(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["validate"]) == 0
    missing = f"there is no pipelines.yaml in {elsewhere}; these are the recipes that ship:"
    assert missing in capsys.readouterr().err


def test_looking_at_a_lock_leaves_it_to_others(folder: Path) -> None:
    assert holder_of("run/.lock-none") == ""
    assert not Path("run/.lock-none").exists()
    code = "import sys, time; from openalign.files.locks import locked\n"
    code += "with locked('run/.lock-x', busy='busy'): print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert holder_of("run/.lock-x").startswith(f"process {holder.pid} on ")
        finally:
            holder.kill()
    deadline = time.monotonic() + 60
    while holder_of("run/.lock-x"):
        assert time.monotonic() < deadline


# show ---------------------------------------------------------------------------------------------


def test_show_prints_the_last_complete_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "show", "pairs")

    assert text.startswith("filter: run/filtered\n")
    assert "too_few_unigrams" in text.split("alt_text")[0]  # the funnel comes first
    assert "a red apple" in text
    assert "dropped by too_few_unigrams, for example" in text


def test_show_prints_what_lies_before_a_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run ends with a report, which has no rows."""
    shutil.copytree(folder / "run" / "filtered", folder / "run" / "report")

    assert said(capsys, "show", "pairs").startswith("filter: run/filtered\n")
    assert said(capsys, "show", "pairs", "report").startswith("report: run/report\n")


def test_show_prints_as_many_rows_as_are_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(said(capsys, "show", "pairs", "harvest", "-n", "4", "--json"))

    assert found["stage"] == "harvest"
    assert found["states"]["kept"] == 5
    assert len(found["rows"]) == 4  # of two files
    assert set(found["rows"][0]) == {"alt_text", "image_url"}
    assert found["pages"] == ["run/candidates/harvest.html"]


def test_names_of_metrics_are_whole(folder: Path) -> None:
    names = [f"retrieval/held_out_names/test/text_to_image/recall_at_{k}" for k in (1, 5, 10)]
    rows = [{"metric": name, "value": 0.5} for name in names]
    found = Shown(stage="evaluate", folder="run/evaluate", states={}, rows=rows, pages=[])
    run = Run(stages=STAGES, config=load_pipeline("pipelines.yaml", "pairs"))

    shown = list(lines(run, found))

    assert [line.split() for line in shown[-3:]] == [[name, "0.5"] for name in names]


def test_show_says_where_all_rows_lie(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "show", "pairs", "filter", "--json"))
    text = said(capsys, "show", "pairs", "filter")

    assert {
        files: pq.read_table(sorted(map(str, Path().glob(files)))).num_rows
        for files in found["tables"]
    } == {files: int(holds.split()[0]) for files, holds in found["tables"].items()}
    assert list(found["tables"]) == [
        "run/filtered/kept-*.parquet",
        "run/filtered/rejected-*.parquet",
    ]
    assert text.endswith(": the others, each with the rule that dropped it\n")
    assert "alone: what the rule would drop as the only one" in text


def test_cells_that_are_too_long_say_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(
        pa.table({"url": ["https://example.org/1.jpg"], "caption": [f"a long {'story ' * 20}"]}),
        "pairs.parquet",
    )
    assert cli.main(["harvest", "pairs", "--yes"]) == 0

    text = said(capsys, "show", "pairs", "harvest")

    cut = next(line for line in text.splitlines() if "a long story" in line)
    assert cut.split("  https")[0].endswith("…")
    assert len(cut.split("  https")[0].strip()) == 48


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["show", "pairs", "fitler"], "pairs has no stage `fitler`\n\nhint: did you mean `filter`"),
        (["show", "pairs", "fetch"], "fetch of pairs is not complete\n\nhint: openalign run"),
        (["show", "pairs", "-n", "0"], "-n must be above 0, got 0"),
        (["show", "pairs", "--set", "root=elsewhere"], "no stage of pairs is complete"),
    ],
)
def test_what_cannot_be_shown_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    assert error in said(capsys, *words, code=2)


def test_pages_of_a_site_are_not_named() -> None:
    names = ["report.html", "data-card/README.md", "www/de/000.html", "results.json"]
    assert [name for name in names if is_page(name)] == ["report.html", "data-card/README.md"]


# explain ------------------------------------------------------------------------------------------


def test_explain_says_what_a_setting_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "explain", "filter.text.min_unigrams").splitlines()[:3] == [
        "filter.text.min_unigrams",
        "  a whole number; default: 3",
        "  Drop an alt-text with fewer words than this.",
    ]


def test_the_end_of_a_key_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "explain", "seed")
    assert "train.seed\n" in text
    assert "evaluate.seed\n" in text


def test_a_section_lists_its_settings_and_their_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, "explain", "filter.text")
    assert text.count("filter.text\n") == 1
    assert "  max_unigrams             20\n" in text


def test_sections_of_one_class_have_keys_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert "fetch.web.respect_robots\n" in said(capsys, "explain", "fetch.web.respect_robots")


def test_explain_alone_lists_the_sections(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "explain")
    assert "\ntrain " in text
    assert "openalign explain KEY says more" in text


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("filter.text.min_unigram", "did you mean `filter.text.min_unigrams`?"),
        ("warmup_stepps", "did you mean `train.schedule.warmup_steps`?"),
        ("wramup", "did you mean `warmup_steps`?"),
        ("qqqq", "`openalign explain` lists the sections"),
    ],
)
def test_a_key_that_is_none_is_an_error(
    capsys: pytest.CaptureFixture[str], key: str, hint: str
) -> None:
    assert f"hint: {hint}" in said(capsys, "explain", key, code=2)


# clean --------------------------------------------------------------------------------------------


def test_clean_names_what_was_begun_and_removes_it_when_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = Path(StageFolder("run", "shards").partial_url("0123456789abcdef0123"))
    (begun / "deep").mkdir(parents=True)
    (begun / "deep" / "part").write_bytes(b"x" * 2000)

    named = said(capsys, "clean", "pairs")

    assert f"could go:      2 kB  fetch     {begun}" in named
    assert begun.exists()
    assert "removed" in said(capsys, "clean", "pairs", "--yes")
    assert not begun.exists()
    assert said(capsys, "clean", "pairs") == "nothing unfinished lies in run\n"
    assert {row["state"] for row in standing(capsys).values()} == {"complete", "not made"}


@pytest.mark.parametrize("mark", ["manifest.json", "CLEARED", "round.json"])
def test_a_complete_result_whose_swap_was_cut_off_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], mark: str
) -> None:
    """The older one may be gone already: these are the only files."""
    swapped = Path(StageFolder("run", "shards").partial_url("0123456789abcdef0123"))
    swapped.mkdir()
    (swapped / mark).touch()

    assert "nothing unfinished" in said(capsys, "clean", "pairs", "--yes")

    assert (swapped / mark).exists()


def test_what_is_at_work_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun = Path(StageFolder("run", "shards").partial_url("0123456789abcdef0123"))
    begun.mkdir()
    with locked("run/.lock-shards", busy="busy"):
        assert "nothing unfinished" in said(capsys, "clean", "pairs", "--yes")
    assert begun.exists()


def test_what_another_machine_is_at_work_on_is_told_and_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = StageFolder("run", "train")
    begun = Path(stage.partial_url("0123456789abcdef0123"))
    begun.mkdir()
    machines = iter(["there"])
    monkeypatch.setattr(leases, "_machine", lambda: next(machines, "here"))
    pace = leases.LeasePace(expiry_seconds=0.5, beat_seconds=0.05, poll_seconds=0.01)
    monkeypatch.setattr(leases, "PACE", pace)
    with leases.leased(stage.lease_url, stage.url, on_loss=pytest.fail):
        row = standing(capsys)["train"]
        assert row["state"] == "running"
        assert row["why"].startswith(f"process {os.getpid()} on ")

        assert cli.main(["clean", "pairs", "--yes"]) == 0
        assert "stays: another run is at work on run/train: process" in capsys.readouterr().err
        assert begun.exists()
    assert standing(capsys)["train"]["state"] == "unfinished"
    assert "removed" in said(capsys, "clean", "pairs", "--yes")
    assert not begun.exists()
