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
from torchvision.datasets import OxfordIIITPet

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.pets import KIND, PetsDataset

TRAINVAL = "Abyssinian_100 1 1 1\nmaine_coon_2 3 1 2\namerican_bulldog_1 2 2 1\n"
TEST = "american_bulldog_201 2 2 1\nAbyssinian_201 1 1 1\nmaine_coon_3 3 1 2\n"


def write(root: Path, *, trainval: str = TRAINVAL, test: str = TEST) -> Path:
    folder = root / "oxford-iiit-pet"
    write_text(folder / "annotations" / "trainval.txt", trainval)
    write_text(folder / "annotations" / "test.txt", test)
    write_text(folder / "annotations" / "list.txt", "#Image CLASS-ID SPECIES BREED ID\n")
    for line in (TRAINVAL + TEST).splitlines():
        write_image(folder / "images" / f"{line.split()[0]}.jpg")
    return root


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(PetsDataset(path=str(path), **settings))


def test_it_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    write(tmp_path)

    found = read(tmp_path)

    for split in ("trainval", "test"):
        theirs = OxfordIIITPet(tmp_path, split=split)
        expected = below(tmp_path / "oxford-iiit-pet", theirs._images, theirs._labels)
        assert labelled(found, split) == expected
        assert [name.title() for (name,) in names_of(found)] == theirs.classes
    assert class_ids(found) == ["Abyssinian", "american_bulldog", "maine_coon"]
    assert names_of(found) == [("Abyssinian",), ("american bulldog",), ("maine coon",)]
    assert (found.test_split, found.train_split) == ("test", "trainval")


def test_comments_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    lines = "#Image CLASS-ID SPECIES BREED\n" + TRAINVAL
    write(tmp_path, trainval=lines.replace("\n", "\r\n"))

    assert labelled(read(tmp_path), "trainval")[1] == ("images/maine_coon_2.jpg", 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("Abyssinian_101 1 1", "trainval.txt:4: has 3 words, not 4", id="a word less"),
        pytest.param("Abyssinian_101 38 1 1", "trainval.txt:4: .* from 1 to 37", id="class 38"),
        pytest.param("Abyssinian_201 1 1 1", "listed twice", id="an image of test"),
        pytest.param(
            "Bengal_1 1 1 1", "trainval.txt:4: class 1 is Abyssinian above", id="another breed"
        ),
    ],
)
def test_a_broken_line_is_told(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, trainval=f"{TRAINVAL}{line}\n")

    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_list_without_an_image_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "oxford-iiit-pet/annotations/test.txt").write_text("\n")

    with pytest.raises(InputError, match=r"/test\.txt: names no image"):
        read(tmp_path)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    assert KIND.recognize("pets", str(write(tmp_path))) == PetsDataset(path=str(tmp_path))
    assert KIND.recognize("pets", str(tmp_path / "oxford-iiit-pet" / "images")) is None


def test_its_images_lie_below_the_folder_of_images(tmp_path: Path) -> None:
    for root in (write(tmp_path), tmp_path / "oxford-iiit-pet"):
        settings = PetsDataset(path=str(root))
        folder = KIND.image_folder(settings)

        assert folder == f"{tmp_path}/oxford-iiit-pet"
        assert files_below(folder, KIND.read(settings))
