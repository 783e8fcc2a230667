"""A new source is one module, a sibling that reads, and one line in the table of kinds."""

from pathlib import Path

import pytest
from toy_source import KIND, LinesSource

from openalign import cli
from openalign.files.manifest import Manifest, StageFolder
from openalign.files.tables import read_table
from openalign.ingest.config import HarvestConfig
from openalign.ingest.sources.kinds import KINDS, AnySource

PIPELINES = """\
lines:
  description: "a text file"
  root: {folder}/run
  harvest:
    source: {{kind: lines, path: "{folder}/lines.txt"}}
    num_files: 1
"""
LINES = """\
https://a.example/1.png a red apple
https://a.example/2.png a green pear
https://a.example/1.png a red apple
https://a.example/3.png
nonsense a blue plum
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # What the line in the table does, for this test alone.
    monkeypatch.setitem(KINDS, "lines", KIND)
    monkeypatch.setitem(HarvestConfig.__annotations__, "source", AnySource | LinesSource)
    (tmp_path / "pipelines.yaml").write_text(PIPELINES.format(folder=tmp_path))
    (tmp_path / "lines.txt").write_text(LINES)
    return tmp_path


def harvest(folder: Path, *words: str) -> int:
    return cli.main(["harvest", "lines", "--config", str(folder / "pipelines.yaml"), *words])


def result(folder: Path) -> Manifest:
    return StageFolder(str(folder / "run"), "candidates").require()


def test_a_toy_source_is_harvested_and_nobody_is_asked_for_a_contact(folder: Path) -> None:
    assert harvest(folder) == 0

    [file, page] = result(folder).files  # the source has no pages, so no file of them
    assert page.name == "harvest.html"
    assert file.name == "candidates-00000-of-00001.parquet"
    rows = read_table(f"{folder}/run/candidates/{file.name}").to_pylist()
    assert {(row["image_url"], row["alt_text"]) for row in rows} == {
        ("https://a.example/1.png", "a red apple"),
        ("https://a.example/2.png", "a green pear"),
    }
    assert result(folder).num_inputs == 5
    ended = {state: number for state, number in result(folder).states.items() if number}
    assert ended == {
        "kept": 2,
        "duplicate": 1,
        "no_alt_text": 1,
        "bad_url": 1,
    }


def test_a_toy_source_is_harvested_again_when_its_file_changed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harvest(folder)
    assert harvest(folder) == 0
    assert "harvest   up to date" in capsys.readouterr().err

    (folder / "lines.txt").write_text(LINES + "https://a.example/4.png a yellow lemon\n")

    assert harvest(folder) == 2  # a harvest is dear: it wants consent
    assert "the content of `lines`" in capsys.readouterr().err
    assert harvest(folder, "--yes") == 0
    assert result(folder).num_outputs == 3


def test_a_toy_source_that_is_not_there_ends_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lines.txt").unlink()

    assert harvest(folder) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"error: {folder}/lines.txt is not there\n\nhint: check `harvest.source")
    assert not (folder / "run").exists()


def test_an_unknown_kind_names_the_toy_among_the_kinds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harvest(folder, "--set", "harvest.source={kind: letters, path: x}") == 2

    said = capsys.readouterr().err
    [hint] = [line for line in said.splitlines() if line.startswith("hint: kinds are: ")]
    assert "lines" in hint.removeprefix("hint: kinds are: ").split(", ")
