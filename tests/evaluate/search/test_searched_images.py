"""Images that nothing is measured on, searched by words."""

import shutil
from pathlib import Path

import pytest
from by_flags import EVALUATE, evaluated, said

from openalign import cli

SEARCHED = (*EVALUATE[:3], "--data", "images=photos")


@pytest.fixture
def photos(folder: Path) -> Path:
    """Return a folder of eight images, two of them in a folder below."""
    photos = folder / "photos"
    (photos / "deep").mkdir(parents=True)
    for number, path in enumerate(sorted((folder / "squares").glob("*.png"))):
        shutil.copy(path, photos / "deep" if number < 2 else photos)
    return photos


def paths_of(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    capsys.readouterr()
    assert cli.main(["search", "--model", "tiny-align", *words]) == 0
    return {line.split()[-1] for line in capsys.readouterr().out.splitlines()}


def test_a_folder_of_images_alone_is_searched_and_reported(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = said(capsys, *SEARCHED), said(capsys, *SEARCHED)

    assert "evaluate  images needs 8 images" in first
    assert "images: 8 images to search" in first
    assert "evaluate  up to date" in second
    every = {str(path) for path in photos.rglob("*.png")}
    assert len(every) == 8
    assert paths_of(capsys, "red") == every
    assert paths_of(capsys, "--image", "photos/red.png") == every - {str(photos / "red.png")}
    said(capsys, "report", "--model", "tiny-align")
    assert "<title>tiny-align</title>" in Path("runs/tiny-align/report/report.html").read_text()


def test_another_image_is_found_after_the_next_evaluation(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *SEARCHED)
    shutil.copy(photos / "red.png", photos / "deep" / "again.png")

    again = said(capsys, *SEARCHED)

    assert "runs again, because this changed: the content of `benchmarks.images`, or what" in again
    assert str(photos / "deep" / "again.png") in paths_of(capsys, "red")


def test_an_image_that_cannot_be_decoded_is_left_out_where_that_is_allowed(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "red.png").write_bytes((photos / "red.png").read_bytes()[:60])

    refused = said(capsys, *SEARCHED, code=2)
    allowed = said(capsys, *SEARCHED, "--set", "evaluate.max_bad_images=1")

    assert "1 of 8 images cannot be used, and 0 may be left out" in refused
    assert "images: 7 images to search" in allowed
    assert str(photos / "red.png") not in paths_of(capsys, "red")


def test_all_splits_of_a_benchmark_are_searched_where_it_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = said(capsys, *EVALUATE)
    assert len(paths_of(capsys, "red")) == 5

    after = said(capsys, *EVALUATE, "--set", "evaluate.searched=flickr30k")

    assert len(paths_of(capsys, "red")) == 8
    assert "flickr30k: 8 images to search" in after
    numbers = [line for line in before.splitlines() if "R@1/5/10" in line]
    assert len(numbers) == 2
    assert [line for line in after.splitlines() if "R@1/5/10" in line] == numbers
    assert set(evaluated().inputs) == {"model", "benchmarks.flickr30k"}


def test_a_name_that_is_no_benchmark_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = said(capsys, *EVALUATE, "--set", "evaluate.searched=[flickr]", code=2)

    assert "`evaluate.searched[0]` must be one of flickr30k, got 'flickr'" in refused
    assert "hint: did you mean `flickr30k`?" in refused
