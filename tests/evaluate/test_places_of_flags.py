"""Where the inputs of a run lie that flags describe: it is used from any folder."""

from pathlib import Path

import pytest
from by_flags import EVALUATE, said

from openalign import cli
from openalign.run.translated.from_flags import described, recorded


def test_what_overrides_name_is_kept_as_an_absolute_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["benchmarks.flickr30k.images=squares", "evaluate.processor=tiny-align"]
    run = described("tiny-align", [EVALUATE[-1]], overrides)
    run.record()
    monkeypatch.chdir(folder / "squares")

    kept = recorded(str(folder / "runs" / "tiny-align"), [])

    assert kept.evaluate.processor == str(folder / "tiny-align")
    assert kept.benchmarks["flickr30k"].images == str(folder / "squares")  # pyright: ignore[reportAttributeAccessIssue]


def test_a_pattern_is_kept_as_an_absolute_one(folder: Path) -> None:
    pattern = "benchmarks.web={kind: webdataset, path: 'squares/{0..1}.tar'}"
    run = described("tiny-align", [EVALUATE[-1]], [pattern])
    run.record()

    kept = recorded(run.config.root, []).benchmarks["web"]
    assert kept.path == str(folder / "squares" / "{0..1}.tar")  # pyright: ignore[reportAttributeAccessIssue]


def test_a_word_among_paths_stays(folder: Path) -> None:
    """A task's `templates` are `auto`, or files; a folder of that name is not meant."""
    (folder / "auto").mkdir()
    task = "evaluate.tasks=[{kind: zero_shot, benchmark: flickr30k, templates: auto}]"
    run = described("tiny-align", [EVALUATE[-1]], [task])
    run.record()

    assert recorded(run.config.root, []).evaluate.tasks == run.config.evaluate.tasks


def test_a_list_that_is_not_there_is_told_with_the_setting_that_names_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = "{kind: karpathy, path: nowhere.json, images: squares}"
    Path("pipelines.yaml").write_text(
        f"mine:\n  root: runs/mine\n  benchmarks: {{flickr30k: {benchmark}}}\n"
        "  evaluate: {model: tiny-align, tasks: [{kind: retrieval, benchmark: flickr30k}]}\n"
    )

    told = said(capsys, "evaluate", "mine", code=2)

    assert "error: nowhere.json cannot be read: there is no such file" in told
    assert "`benchmarks.flickr30k` names it, or --data" in told
    assert cli.main(["run", "mine"]) == 2
    assert not Path("runs").exists()
