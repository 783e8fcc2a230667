"""`openalign evaluate --model FOLDER --data NAME=PATH` on copies that are not whole, or unusual."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_flags import EVALUATE, evaluated, said

from openalign.evaluate import results


def test_only_images_of_the_test_split_must_be_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for color in ("blue", "black", "orange"):  # of `train` and `val`
        Path(f"squares/{color}.png").unlink()

    said(capsys, *EVALUATE)

    assert evaluated().states == {"embedded": 5, "missing": 0, "unreadable": 0}


def test_a_fast_run_says_that_its_numbers_are_of_the_first_images(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *EVALUATE, "--fast")

    found = results.read("runs/tiny-align/evaluate/results.json")
    assert found.settings["fast"] is True
    assert evaluated().facts["headline"][0].startswith("a fast run: ")


def test_missing_images_are_named_or_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("squares/green.png").unlink()

    refused = said(capsys, *EVALUATE, code=2)
    assert "benchmark `flickr30k` lacks 1 of the 5 images that are needed: " in refused
    assert f"{folder}/squares/green.png" in refused
    assert not Path("runs").exists()

    said(capsys, *EVALUATE, "--allow-missing")
    said(capsys, "report", "--model", "tiny-align")
    assert evaluated().states == {"embedded": 4, "missing": 1, "unreadable": 0}
    found = results.read("runs/tiny-align/evaluate/results.json")
    assert found.missing == {"flickr30k": 1}
    assert found.metric("retrieval/flickr30k/split/text_to_image/recall_at_1").n == 8
    for form in ("html", "md"):
        text = Path(f"runs/tiny-align/report/report.{form}").read_text()
        assert "1 image of flickr30k was not there" in text


def repaint(file: Path) -> None:
    """Change an image so that neither its size nor its date tells it."""
    content, before = bytearray(file.read_bytes()), file.stat()
    content[-5] ^= 1  # the checksum of its last chunk, which no decoder reads
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "is_new"),
    [
        pytest.param(repaint, True, id="other bytes, of the same size and date"),
        pytest.param(lambda file: os.utime(file, ns=(1, 1)), False, id="another date"),
        pytest.param(lambda file: file.replace(file), False, id="nothing"),
    ],
)
def test_a_result_is_up_to_date_as_long_as_its_images_have_the_same_bytes(
    folder: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], Any], *, is_new: bool
) -> None:
    said(capsys, *EVALUATE)

    change(folder / "squares" / "red.png")

    again = said(capsys, *EVALUATE)
    assert ("the content of `benchmarks.flickr30k`" in again) is is_new
    assert ("up to date" in again) is not is_new


def test_the_split_that_a_published_file_is_of_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """COCO's own `captions_val2017.json` has a `val`, and no `test`."""
    colors = ("red", "green", "blue")
    names = [{"id": at, "file_name": f"{color}.png"} for at, color in enumerate(colors)]
    texts = [{"id": at, "image_id": at, "caption": color} for at, color in enumerate(colors)]
    file = Path("squares/captions_val2017.json")
    file.write_text(json.dumps({"images": names, "annotations": texts}))

    found = said(capsys, *EVALUATE[:3], "--data", f"mscoco={file}")

    assert "mscoco val, text to image: R@1/5/10 " in found


def test_a_task_of_vtab_may_have_any_name_but_the_means_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{path.name} {at % 2}\n" for at, path in enumerate(Path("squares").glob("*.png"))]
    for split, of_split in {"train800": lines[:4], "val200": lines[4:6], "test": lines[6:]}.items():
        Path(f"squares/{split}.txt").write_text("".join(of_split))
    Path("squares/dataset.json").unlink()
    Path("squares").rename("cifar")

    found = said(capsys, *EVALUATE[:3], "--data", "mine=cifar", "--fast")
    refused = said(capsys, *EVALUATE[:3], "--data", "all=cifar", code=2)

    assert "mine, VTAB's CIFAR-100, frozen features: top-1 " in found
    assert "error: --data all=...: name must not be `all`" in refused


def test_another_architecture_is_refused_before_the_data_sets_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tiny-align/config.json").write_text('{"model_type": "clip"}')
    Path("tiny-align/tokenizer.json").unlink()  # a CLIP may have other files, too
    Path("squares/red.png").unlink()

    assert "error: tiny-align/config.json: holds a model of type `clip`, `align` is needed" in said(
        capsys, *EVALUATE, code=2
    ).replace(f"{folder}/", "")
