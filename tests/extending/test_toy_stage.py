"""A new stage is one module and one line in the table of stages."""

from pathlib import Path

import pytest
from toy_pipeline import write_pairs
from toy_stage import STAGE

from openalign import cli
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.run.stages import STAGES


def openalign(folder: Path, *words: str) -> int:
    return cli.main([*words, "--config", str(folder / "pipelines.yaml")])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(STAGES, STAGE.name, STAGE)
    write_pairs(tmp_path, ["a red apple", "a green pear", "plum"])
    assert openalign(tmp_path, "harvest", "pairs") == 0
    return tmp_path


def test_a_toy_stage_runs_by_its_name_and_is_skipped_when_it_is_complete(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openalign(folder, "lengths", "pairs") == 0

    manifest = StageFolder(str(folder / "run"), "lengths").require()
    assert (manifest.num_inputs, manifest.states) == (3, {"counted": 3})
    assert manifest.facts == {"longest": 12}
    written = [storage.read_text(str(folder / "run" / "lengths" / f.name)) for f in manifest.files]
    assert sorted(int(line) for text in written for line in text.split()) == [4, 11, 12]

    assert openalign(folder, "lengths", "pairs") == 0
    assert "lengths   up to date" in capsys.readouterr().err


def test_a_toy_stage_is_one_of_the_pipelines_and_stands_in_its_funnel(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])

    assert "measure alt-texts" in capsys.readouterr().out
    assert STAGE.facts.goes_on == "counted"


def test_a_toy_stage_gets_beams_options(folder: Path) -> None:
    flags = ["--", "--direct_runner_bundle_repeat=2"]

    assert cli.main(["lengths", "pairs", "--config", str(folder / "pipelines.yaml"), *flags]) == 0
    assert StageFolder(str(folder / "run"), "lengths").require().num_outputs == 3
