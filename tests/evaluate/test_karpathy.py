import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openalign.errors import InputError
from openalign.evaluate.datasets import karpathy

CAPTIONS = [{"raw": f"caption {n}", "tokens": ["caption"], "sentid": n} for n in range(6)]


def image(name: str, split: str, **other: Any) -> dict[str, Any]:
    return {"filename": name, "split": split, "imgid": 0, "sentences": CAPTIONS, **other}


def written(folder: Path, *images: Any) -> str:
    path = folder / "dataset.json"
    path.write_text(json.dumps({"dataset": "coco", "images": list(images)}))
    return str(path)


def test_pictures_of_the_named_splits_come_in_the_files_order(tmp_path: Path) -> None:
    path = written(tmp_path, image("b.jpg", "test"), image("a.jpg", "train"), image("c", "val"))

    found = karpathy.read(path, ("val", "test"))

    assert [(i.name, i.split) for i in found] == [("b.jpg", "test"), ("c", "val")]
    assert found[0].url == f"{tmp_path}/b.jpg"
    assert len(karpathy.read(path)) == 3


def test_only_the_first_captions_count(tmp_path: Path) -> None:
    path = written(tmp_path, image("a.jpg", "test"))

    assert karpathy.read(path)[0].captions == tuple(f"caption {n}" for n in range(5))
    assert karpathy.read(path, max_captions=2)[0].captions == ("caption 0", "caption 1")
    assert len(karpathy.read(path, max_captions=9)[0].captions) == 6


def test_cocos_folders_are_part_of_the_path_and_not_of_the_name(tmp_path: Path) -> None:
    path = written(tmp_path, image("9.jpg", "test", filepath="val2014"))

    (found,) = karpathy.read(path, images="/pictures")

    assert (found.name, found.path) == ("9.jpg", "val2014/9.jpg")
    assert found.url == "/pictures/val2014/9.jpg"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param("a.jpg", "image 1: must be a mapping", id="a bare name"),
        pytest.param({"split": "test"}, "image 1: `filename` is missing", id="no name"),
        pytest.param(
            image("b.jpg", 3),  # pyright: ignore[reportArgumentType]
            "image 1: `split` must be a text, got 3",
            id="a split that is a number",
        ),
        pytest.param(
            image("b.jpg", "test", sentences=[]),
            "image 1: `sentences` must be a list that is not empty",
            id="no captions",
        ),
        pytest.param(
            image("b.jpg", "test", sentences=[{"raw": "a"}, {"tokens": ["a"]}]),
            r"image 1: `sentences\[1\].raw` is missing",
            id="a caption without text",
        ),
        pytest.param(
            image("a.jpg", "val"), "image 1: `filename` a.jpg is that of image 0", id="twice"
        ),
        pytest.param(image("../../etc/passwd", "val"), "must stay inside the folder", id="outside"),
    ],
)
def test_an_error_names_file_image_and_key(tmp_path: Path, entry: Any, message: str) -> None:
    path = written(tmp_path, image("a.jpg", "test"), entry)

    with pytest.raises(
        InputError, match=f"dataset.json: {message}" if "must stay" not in message else message
    ):
        karpathy.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "is not JSON", id="cut off"),
        pytest.param("[]", "`images` must be a list", id="a list"),
        pytest.param('{"images": {}}', "`images` must be a list", id="a mapping of images"),
        pytest.param('{"images": []}', "`images` is empty", id="empty"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)

    with pytest.raises(InputError, match=message):
        karpathy.read(str(tmp_path / "dataset.json"))


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = written(tmp_path, image("a.jpg", "test"), image("b.jpg", "val"))

    with pytest.raises(InputError, match="no image is in split `dev`") as caught:
        karpathy.read(path, ("test", "dev"))

    assert caught.value.hint == "splits are: test, val"


def test_reading_a_benchmark_needs_no_torch() -> None:
    code = "import openalign.evaluate.datasets.karpathy, sys; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
