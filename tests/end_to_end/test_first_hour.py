"""A data engineer's first hour: from a folder of images with texts to a model and a report."""

import json
from pathlib import Path

import pytest
from own_images import image_bytes

from openalign import cli

pytestmark = pytest.mark.slow

SHORT = ["--set", "train.duration.steps=3", "--set", "train.schedule.warmup_steps=1"]
"""What a person would wait a minute for."""


def test_from_a_folder_to_a_report_by_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(40):
        Path(f"photos/{number}.jpg").write_bytes(image_bytes(number, size=(220 + number, 210)))
        Path(f"photos/{number}.txt").write_text(f"a red field on gray, number {number}")

    assert cli.main(["init", "mine", "photos"]) == 0
    command = capfd.readouterr().err.rpartition("next: openalign ")[2].split()
    assert command == ["run", "mine"]
    assert cli.main(["validate", "mine"]) == 0
    capfd.readouterr()
    assert cli.main([*command, *SHORT]) == 0

    said = capfd.readouterr().err
    assert "train     will need at least 4 pairs" in said
    for line in ("harvest   40 of 40 in ", "filter    40 of 40 in ", "train     complete in "):
        assert line in said
    assert "report: runs/mine/report/report.html" in said
    assert "DeepSpeed" not in said.replace("under DeepSpeed", "")  # its own chatter
    page = Path("runs/mine/report/report.html").read_text()
    assert page.count("a red field on gray, number") >= 24
    assert cli.main(["status", "mine", "--json", *SHORT]) == 0
    standing = {row["name"]: row["state"] for row in json.loads(capfd.readouterr().out)}
    assert standing == dict.fromkeys(
        ["harvest", "filter", "fetch", "select", "train", "report"], "complete"
    )
    for stage in standing:
        assert cli.main(["show", "mine", stage]) == 0
    assert "train/loss" in capfd.readouterr().out
    assert cli.main([*command, *SHORT]) == 0
    assert capfd.readouterr().err.count("up to date") == len(standing)


def test_a_mistake_in_training_is_told_without_the_chatter_of_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(12):
        Path(f"photos/{number}.jpg").write_bytes(image_bytes(number))
        Path(f"photos/{number}.txt").write_text(f"a red field on gray, number {number}")
    assert cli.main(["init", "mine", "photos"]) == 0
    for verb in ("harvest", "filter", "fetch", "select"):
        assert cli.main([verb, "mine"]) == 0
    capfd.readouterr()

    assert cli.main(["train", "mine", "--set", "train.schedule.warmup_steps=200"]) == 2

    lines = capfd.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("error: ")]) == 1
    assert len([line for line in lines if line.startswith("hint: ")]) <= 1
    assert all(line.startswith(("error: ", "hint: ", "train  ")) or not line for line in lines)
