"""`openalign datasets check` with what the path does not tell."""

import shutil
from pathlib import Path

import pytest

from openalign import cli
from openalign.errors import ConfigError
from openalign.evaluate.datasets import checking


def counts(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Return the printed numbers of images, missing images and captions, by split."""
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:] if line]
    return {split: numbers[:3] for split, *numbers in rows}


def test_images_that_lie_elsewhere_are_looked_for_there(
    benchmark_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["datasets", "check", f"{benchmark_folder}/dataset.json"]
    elsewhere = tmp_path / "my: images #1"  # YAML would read another name
    shutil.move(benchmark_folder / "images", elsewhere)

    assert cli.main(check) == 2
    said = capsys.readouterr()
    assert "error: 8 of 8 images are not there:" in said.err
    assert "hint: if the images lie elsewhere, name their folder: --images FOLDER" in said.err
    assert cli.main([*check, "--images", str(elsewhere)]) == 0
    assert counts(capsys)["test"] == ["5", "0", "10"]


def test_other_settings_of_the_kind_are_told_too(
    benchmark_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["datasets", "check", f"{benchmark_folder}/dataset.json", "--images"]
    check.append(f"{benchmark_folder}/images")

    assert cli.main([*check, "--set", "max_captions=1"]) == 0

    assert counts(capsys)["test"] == ["5", "0", "5"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("imges=there", "data sets of the kind `karpathy` have no setting `imges`"),
        ("kind=coco", "data sets of the kind `karpathy` have no setting `kind`"),
        ("max_captions=none", "--set max_captions: `max_captions` must be"),
        ("images", "--set images: must be KEY=VALUE"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    benchmark_folder: Path, change: str, error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        checking.check(f"{benchmark_folder}/dataset.json", changes=[change])


def test_a_kind_whose_images_lie_beside_gives_no_such_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "dtd"
    for split in ("train", "val", "test"):
        (folder / "labels").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / f"{split}1.txt").write_text(f"banded/{split}.jpg\n")
    (folder / "images" / "banded").mkdir(parents=True)

    assert cli.main(["datasets", "check", str(folder)]) == 2
    assert "--images" not in capsys.readouterr().err
    assert cli.main(["datasets", "check", str(folder), "--images", "there"]) == 2
    assert "have no setting `images`" in capsys.readouterr().err
