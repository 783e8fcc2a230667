"""A dry run on the command line builds every job as Dataflow would be sent it, and that is all."""

from pathlib import Path

import pytest
from small_run import run_here
from staging import DATAFLOW

from openalign import cli
from openalign.files.names import HASHES_FOLDER

DRY = (*DATAFLOW, "--dry_run=True")


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return all files but the cache of hashes, which is no part of a run."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.parent.name != HASHES_FOLDER
    }


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("harvest", "harvest   dry run passed: 1 job, nothing was made"),
        ("filter", "filter    dry run passed: 2 jobs, nothing was made"),
        ("fetch", "fetch     dry run passed: 4 jobs, nothing was made"),
        ("select", "select    dry run passed: 2 jobs, nothing was made"),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param([], id="up to date"),
        pytest.param(
            ["harvest.num_files=3", "filter.count_buckets=3", "fetch.num_buckets=4"], id="not"
        ),
    ],
)
def test_a_dry_run_passes_and_leaves_nothing(
    finished: Path, capfd: pytest.CaptureFixture[str], verb: str, said: str, settings: list[str]
) -> None:
    before = everything(finished.parent)

    assert run_here(finished, verb, *DRY, settings=settings) == 0

    assert said in capfd.readouterr().err.splitlines()
    assert everything(finished.parent) == before


def test_a_crawl_passes_without_asking_the_web(
    finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = everything(finished.parent)

    assert cli.main(["harvest", "crawl", "--config", str(finished), "--", *DRY]) == 0

    assert "harvest   dry run passed" in capfd.readouterr().err
    assert everything(finished.parent) == before


def test_what_a_killed_run_left_is_not_touched(finished: Path, tmp_path: Path) -> None:
    settings = [f"root={tmp_path}"]
    assert run_here(finished, "harvest", settings=settings) == 0
    left = tmp_path / ".filtered.0123456789abcdef" / "work" / "counted.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    before = everything(tmp_path)

    assert run_here(finished, "filter", *DRY, settings=settings) == 0

    assert everything(tmp_path) == before


def test_a_stage_without_input_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(finished, "filter", *DRY, settings=[f"root={tmp_path}/run"]) == 2

    assert "candidates is not complete" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_whole_chain_has_no_dry_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(finished, "run", *DRY) == 2

    said = capsys.readouterr().err
    assert "error: a dry run makes no input for the next stage" in said
    assert "hint: try one stage: openalign harvest pairs -- " in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(
            ["--dry_run=True"], "--dry_run has no meaning for this runner", id="another runner"
        ),
        pytest.param(
            [*DRY, "--no_wait_until_finish"],
            "a stage cannot be run with --no_wait_until_finish",
            id="let go of",
        ),
        pytest.param(
            [*DRY, "--template_location=gs://some-bucket/t"],
            "a stage cannot be run with --template_location",
            id="a template",
        ),
        pytest.param(
            [*DRY, "--temp_location=/tmp/x"],
            "DataflowRunner has no place for its files: Invalid GCS path (/tmp/x)",
            id="a local place",
        ),
        pytest.param(
            [DRY[0], DRY[2], DRY[3], "--dry_run=True"],
            "Beam cannot run a job with these options: Missing required option: project",
            id="no project",
        ),
        pytest.param(
            [*DRY, "--num_workers=two"],
            "Beam cannot read its options: argument --num_workers: invalid int value: 'two'",
            id="no number",
        ),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_made(
    finished: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    before = everything(finished.parent)

    assert run_here(finished, "filter", *flags) == 2

    assert f"error: {said}" in capsys.readouterr().err
    assert everything(finished.parent) == before
