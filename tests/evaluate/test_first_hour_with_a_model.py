"""An ML engineer's first hour: from a model's folder to numbers, and on to training it further."""

from pathlib import Path

import pytest

from openalign import cli
from openalign.run.config import load_pipeline


def test_from_a_model_to_numbers_by_what_is_said(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "mine", "tiny-align"]) == 0
    said = capfd.readouterr().err
    assert "next: say under its benchmarks where yours lie, then openalign run mine" in said
    # The data set is not there yet: the run says so before it does anything, and names the file.
    assert cli.main(["run", "mine"]) == 2
    assert "dataset_flickr30k.json" in capfd.readouterr().err

    Path("squares/dataset.json").rename("dataset_flickr30k.json")
    Path("squares").rename("flickr30k-images")
    assert cli.main(["datasets", "check", "dataset_flickr30k.json"]) == 0
    assert cli.main(["run", "mine"]) == 0

    said = capfd.readouterr().err
    assert "flickr30k test, text to image: R@1/5/10 " in said
    assert "report: runs/mine/report/report.html" in said
    assert cli.main(["show", "mine", "evaluate"]) == 0
    assert "retrieval/flickr30k/" in capfd.readouterr().out


def test_the_lines_about_training_further_are_settings(folder: Path) -> None:
    assert cli.main(["init", "mine", "tiny-align"]) == 0
    text = Path("pipelines.yaml").read_text()
    lines = [line[2:] for line in text.splitlines() if line.startswith("#   ")]
    more = "further:\n  harvest: {source: {kind: local_files, path: photos}}\n"
    Path("more.yaml").write_text(more + "\n".join(lines) + "\n")

    train = load_pipeline("more.yaml", "further").train

    assert train.init_from is not None
    assert train.init_from.kind == "model"
    assert train.optimizer.learning_rate == 1e-5
