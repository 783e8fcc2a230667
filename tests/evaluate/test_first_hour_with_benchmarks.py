"""A researcher's first hour: from two models and a benchmark to a comparison and one report."""

import re
import shutil
from pathlib import Path

import pytest

from openalign import cli


def test_from_benchmarks_to_a_comparison_by_what_is_said(
    folder: Path, other_model_folder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(other_model_folder, "other-align")
    Path("photos").mkdir()
    shutil.copy("squares/red.png", "photos")

    # Which data sets are read, and which command does it: typed as it stands there.
    assert cli.main(["datasets"]) == 0
    assert "flickr30k" in capfd.readouterr().out
    assert cli.main(["datasets", "check", "photos"]) == 2
    told = capfd.readouterr().err
    assert "openalign datasets flickr" in told
    assert cli.main(["datasets", "flickr30k"]) == 0
    shown = capfd.readouterr().out
    [check, *_] = re.findall(r"^openalign (datasets check .*)$", shown, re.MULTILINE)
    [evaluate, *_] = re.findall(r"^openalign (evaluate .*)$", shown, re.MULTILINE)

    # The squares are no whole Flickr30K, and the check says so; without a kind they are whole.
    assert cli.main(check.replace("PATH", "squares/dataset.json").split()) == 2
    assert "split `test` has 5 images, 1,000 were published" in capfd.readouterr().err
    assert cli.main(["datasets", "check", "squares/dataset.json"]) == 0

    # A model in place of a run is answered with the command that measures it.
    measure = evaluate.replace("PATH", "squares/dataset.json")
    assert cli.main(measure.replace("FOLDER", "tiny-align").split()) == 0
    capfd.readouterr()
    assert cli.main(["compare", "runs/tiny-align", "other-align/"]) == 2
    told = capfd.readouterr().err
    [measure, root] = re.findall(r"openalign (evaluate .*); then name its run, (\S+)", told)[0]
    assert cli.main(measure.replace("NAME=PATH", "flickr30k=squares/dataset.json").split()) == 0
    capfd.readouterr()

    assert cli.main(["compare", "runs/tiny-align", root]) in (0, 1)
    assert "other-align against tiny-align: " in capfd.readouterr().out
    assert cli.main(["report", "runs/tiny-align", root]) == 2
    [command] = re.findall(r"openalign (report RUN RUN .*)", capfd.readouterr().err)
    words = command.replace("RUN RUN", f"runs/tiny-align {root}").replace("FOLDER", "both")
    assert cli.main(words.split()) == 0
    assert "report: both/report.html" in capfd.readouterr().err
    assert cli.main(["show", root, "evaluate"]) == 0
    assert "retrieval/flickr30k/" in capfd.readouterr().out
