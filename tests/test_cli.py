import subprocess
import sys
from pathlib import Path

import pytest

from openalign.cli import main
from openalign.commands import parsing
from openalign.run.stages import STAGES

PIPELINES = """\
align:
  description: "the paper"
  harvest:
    source: {kind: table, path: none.parquet}
small:
  extends: align
  filter:
    text: {frequent: {kind: min_count, at_least: 1}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_names_every_verb() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openalign", "--help"], capture_output=True, text=True, check=True
    )

    verbs = [stage.name for stage in STAGES.values() if stage.is_verb]
    verbs += [verb.name for verb in parsing.all_verbs()]
    assert all(f"\n    {verb} " in done.stdout for verb in verbs)


def test_validate_shows_every_pipeline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[::2]] == [
        ["align", "ok", "runs/align"],
        ["small", "ok", "runs/small"],
    ]
    assert {line.strip() for line in lines[1::2]} == {"set web.contact before it is run"}


@pytest.mark.parametrize("root", ["root=", "root=''", "root=null"])
def test_an_empty_root_is_the_default_one(
    folder: Path, capsys: pytest.CaptureFixture[str], root: str
) -> None:
    assert main(["validate", "small", "--set", root]) == 0

    assert "  root: runs/small\n" in capsys.readouterr().out


def test_validate_prints_a_pipeline_with_its_overrides(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "small", "--set", "filter.text.min_unigrams=2"]) == 0

    out = capsys.readouterr().out
    assert "    min_unigrams: 2\n" in out
    assert "      at_least: 1\n" in out


def test_validate_explains_each_setting_above_its_value(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "small", "--explain", "--set", "filter.text.min_unigrams=2"]) == 0

    lines = capsys.readouterr().out.splitlines()
    where = lines.index("      min_unigrams: 2")
    assert lines[0] == "small:"
    assert lines[where - 1] == "      # Drop an alt-text with fewer words than this."


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        pytest.param(
            ["validate", "--explain"],
            "error: `--explain` is for one pipeline",
            "hint: for example openalign validate demo --explain",
            id="explaining no pipeline",
        ),
        pytest.param(
            ["run", "smal"],
            "error: pipelines.yaml: there is no pipeline `smal`",
            "hint: did you mean `small`?",
            id="no such pipeline",
        ),
        pytest.param(
            ["search", "small", "red square"],
            "error: small embeds no images that could be searched: the pipeline names no task",
            "hint: name a benchmark of the images, and put it under `evaluate.searched`",
            id="a search of nothing",
        ),
        pytest.param(
            ["filter", "small", "--config", "none.yaml"],
            "error: none.yaml cannot be read",
            "hint: name the file with `--config PATH`",
            id="no such file",
        ),
        pytest.param(
            ["filter", "small", "--set", "filter.text.min_unigram=2"],
            "error: --set filter.text.min_unigram: `filter.text.min_unigram` is not a setting",
            "hint: did you mean `filter.text.min_unigrams`?",
            id="an unknown setting",
        ),
        pytest.param(
            ["filter", "small", "--set", "filter.text.where=[width > 2]"],
            "error: --set filter.text.where: `filter.text.where` is not a setting",
            "hint: did you mean `harvest.source.where`?",
            id="a setting of another stage",
        ),
        pytest.param(
            ["filter", "small"],
            "error: runs/small/candidates is not complete",
            "hint: run `openalign harvest small` first",
            id="an earlier stage is missing",
        ),
        pytest.param(
            ["validate", "small", "--", "--runner=SparkRunner"],
            "error: `-- --runner=SparkRunner` has no meaning here",
            "hint: only verbs that run Beam jobs take its options",
            id="Beam options where no job runs",
        ),
        pytest.param(
            ["evaluate", "small", "--", "--runner=SparkRunner"],
            "error: `-- --runner=SparkRunner` has no meaning here",
            "hint: only verbs that run Beam jobs take its options",
            id="Beam options for evaluation",
        ),
    ],
)
def test_a_users_mistake_ends_with_code_2_and_a_hint(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    error: str,
    hint: str,
) -> None:
    assert main(words) == 2

    said = capsys.readouterr()
    assert said.err.startswith(error)
    assert hint in said.err
    assert said.out == ""
    assert sorted(path.name for path in folder.iterdir()) == ["pipelines.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["search", "small", "red apple", "-k", "3"], id="words first"),
        pytest.param(["search", "small", "-k", "3", "red apple"], id="words behind an option"),
        pytest.param(["search", "small", "red", "apple", "-k", "3"], id="words without quotes"),
    ],
)
def test_search_takes_its_words_anywhere(words: list[str]) -> None:
    options = parsing.read(words)

    assert (" ".join(options.words), options.k) == ("red apple", 3)


def test_words_that_no_verb_takes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsing.read(["filter", "small", "red apple"])

    assert stopped.value.code == 2
    assert "unrecognized arguments: red apple" in capsys.readouterr().err


def test_a_mistake_of_ours_keeps_its_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openalign.run import runner as pipeline

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "run_stage", broken)

    with pytest.raises(ZeroDivisionError):
        main(["filter", "small"])
