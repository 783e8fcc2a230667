"""An error about a path of no known form names what lies around it and is of one."""

import json
import shutil
from pathlib import Path

import pytest
from published_forms import write_image

from openalign.errors import InputError
from openalign.evaluate.datasets.recognition import recognized


def hint_about(path: Path, name: str = "mine") -> str:
    with pytest.raises(InputError) as caught:
        recognized(name, str(path))
    return caught.value.hint or ""


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Return a folder as COCO's archives leave it: two files of captions, and one of boxes."""
    image = {"id": 9, "file_name": "COCO_val2014_000000000009.jpg"}
    caption = {"id": 1, "image_id": 9, "caption": "A plate of food."}
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    for name, annotations in (
        ("captions_train2014", [caption]),
        ("captions_val2014", [caption]),
        ("instances_val2014", [{"id": 1, "image_id": 9, "bbox": [0, 0, 1, 1]}]),
    ):
        text = json.dumps({"images": [image], "annotations": annotations})
        (tmp_path / "coco" / "annotations" / f"{name}.json").write_text(text)
    write_image(tmp_path / "coco" / "val2014" / image["file_name"])
    return tmp_path / "coco"


@pytest.mark.parametrize("name", ["mine", "mscoco"])
def test_files_below_a_folder_are_named(coco: Path, name: str) -> None:
    files = [f"{coco}/annotations/captions_{split}2014.json" for split in ("train", "val")]
    expected = f"of such a form is {files[0]} and {files[1]}; "

    assert hint_about(coco, name).startswith(expected)
    assert hint_about(coco / "annotations", name).startswith(expected)


def test_the_folder_above_is_named_where_nothing_inside_fits(coco: Path) -> None:
    karpathy = {"filename": "a.jpg", "split": "test", "sentences": [{"raw": "A plate."}]}
    (coco / "dataset_coco.json").write_text(json.dumps({"images": [karpathy]}))

    assert hint_about(coco / "val2014").startswith(f"of such a form is {coco}; ")


@pytest.mark.parametrize("name", ["images", "mine"])
def test_the_folder_above_an_empty_one_is_not_named(coco: Path, name: str) -> None:
    karpathy = {"filename": "a.jpg", "split": "test", "sentences": [{"raw": "A plate."}]}
    (coco / "dataset_coco.json").write_text(json.dumps({"images": [karpathy]}))
    (coco / "empty").mkdir()

    assert "of such a form" not in hint_about(coco / "empty", name)


def test_the_folder_above_is_not_named_for_images_alone(coco: Path) -> None:
    assert "of such a form" not in hint_about(coco / "annotations", "images")


def test_only_kinds_of_the_name_are_looked_for(coco: Path) -> None:
    assert "of such a form" not in hint_about(coco, "imagenet")


def test_nothing_is_said_where_nothing_is_near(coco: Path, tmp_path: Path) -> None:
    shutil.rmtree(coco / "annotations")

    assert "of such a form" not in hint_about(coco / "val2014")
