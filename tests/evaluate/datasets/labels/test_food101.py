import json
from pathlib import Path
from typing import Any

import pytest
from published_forms import (
    below,
    class_ids,
    files_below,
    labelled,
    names_of,
    write_image,
    write_text,
)
from torchvision.datasets import Food101

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.food101 import KIND, Food101Dataset

LISTS = {
    "train": {"waffles": ["waffles/9", "waffles/10"], "apple_pie": ["apple_pie/1005649"]},
    "test": {"apple_pie": ["apple_pie/7"], "waffles": ["waffles/1"]},
}


def write(root: Path) -> Path:
    folder = root / "food-101"
    for split, by_class in LISTS.items():
        images = [image for of_class in by_class.values() for image in of_class]
        write_text(folder / "meta" / f"{split}.json", json.dumps(by_class))
        write_text(folder / "meta" / f"{split}.txt", "".join(f"{image}\r\n" for image in images))
        for image in images:
            write_image(folder / "images" / f"{image}.jpg")
    write_text(folder / "meta" / "classes.txt", "apple_pie\nwaffles\n")
    return root


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(Food101Dataset(path=str(path), **settings))


def test_it_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    write(tmp_path)

    found = read(tmp_path)

    for split in ("train", "test"):
        theirs = Food101(tmp_path, split=split)
        expected = below(tmp_path / "food-101", theirs._image_files, theirs._labels)
        assert labelled(found, split) == expected
        assert class_ids(found) == theirs.classes
    assert labelled(found, "train")[0] == ("images/waffles/9.jpg", 1)
    assert names_of(found) == [("apple pie",), ("waffles",)]


def test_lists_of_text_are_read_where_there_are_none_of_json(tmp_path: Path) -> None:
    with_json = read(write(tmp_path))
    for split in LISTS:
        (tmp_path / "food-101" / "meta" / f"{split}.json").unlink()

    assert read(tmp_path / "food-101") == with_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"waffles": ["9"]}', "image 1 lies in no class folder: '9.jpg'", id="flat"),
        pytest.param('{"waffles": ["../9"]}', "must stay inside the folder", id="outside"),
        pytest.param('["waffles/9"]', "Expected `object`, got `array`", id="a list"),
        pytest.param('{"waffles": [9]}', "Expected `str`, got `int`", id="numbers"),
    ],
)
def test_a_broken_list_is_told(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path)
    write_text(tmp_path / "food-101" / "meta" / "train.json", text)

    with pytest.raises(InputError, match=f"train.json: .*{message}"):
        read(tmp_path)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    for end in ("json", "txt"):
        (tmp_path / "food-101" / "meta" / f"test.{end}").unlink()

    with pytest.raises(InputError, match=r"test.txt cannot be read: there is no such file"):
        read(tmp_path)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    assert KIND.recognize("food101", str(write(tmp_path))) == Food101Dataset(path=str(tmp_path))
    assert KIND.recognize("food101", str(tmp_path / "food-101" / "images")) is None


def test_its_images_lie_below_the_folder_of_images(tmp_path: Path) -> None:
    for root in (write(tmp_path), tmp_path / "food-101"):
        settings = Food101Dataset(path=str(root))
        folder = KIND.image_folder(settings)

        assert folder == f"{tmp_path}/food-101"
        assert files_below(folder, KIND.read(settings))
