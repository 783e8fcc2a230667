"""A new stage is a module, a sibling for its jobs, and one line in the table of stages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_pipeline import write_pairs
from toy_stage import STAGE

from openalign import cli
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.run.stages import STAGES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


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


def test_a_toy_stage_gets_beams_options(folder: Path) -> None:
    flags = ["--", "--direct_runner_bundle_repeat=2"]

    assert cli.main(["lengths", "pairs", "--config", str(folder / "pipelines.yaml"), *flags]) == 0
    assert StageFolder(str(folder / "run"), "lengths").require().num_outputs == 3


def copied_package(tmp_path: Path) -> Path:
    """Copy the package, and add the toy stage to its table as the recipe says."""
    tree = tmp_path / "tree"
    for name in ("openalign", "ingest", "filtering", "train", "evaluate"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore)
    shutil.copy(ROOT / "pipelines.yaml", tree)
    run = tree / "openalign" / "run"
    stage = (HERE / "toy_stage.py").read_text()
    stage = stage.replace("import toy_stage_jobs", "from openalign.run import lengths_jobs")
    (run / "lengths.py").write_text(stage.replace("toy_stage_jobs.jobs", "lengths_jobs.jobs"))
    shutil.copy(HERE / "toy_stage_jobs.py", run / "lengths_jobs.py")
    table = (run / "stages.py").read_text()
    assert "\n)\n\nSTAGES" in table
    table = table.replace("\n)\n\nSTAGES", "\n    lengths.STAGE,\n)\n\nSTAGES")
    imported = "from openalign.run import inputs, source_images"
    assert imported in table
    named = imported.replace(" source_images", " lengths, source_images")
    (run / "stages.py").write_text(table.replace(imported, named))
    return tree


def test_one_line_in_the_table_is_enough_and_the_command_line_stays_light(tmp_path: Path) -> None:
    tree = copied_package(tmp_path)
    write_pairs(tmp_path, ["a red apple", "plum"])
    environment = {**os.environ, "PYTHONPATH": str(tree)}

    def said(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    code = "import openalign.cli, sys; print(openalign.__file__, 'apache_beam' in sys.modules)"
    assert said("-c", code).split() == [str(tree / "openalign" / "__init__.py"), "False"]
    assert "measure alt-texts" in said("-m", "openalign", "--help")
    said("-m", "openalign", "harvest", "pairs", "--config", "pipelines.yaml")
    assert "lengths   2 of 2" in said("-m", "openalign", "lengths", "pairs")
