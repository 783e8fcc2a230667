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
from torchvision.datasets import DTD

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.dtd import KIND, DtdDataset

CLASSES = ("zigzagged", "banded", "polka-dotted")


def write(root: Path, folder: str = "dtd/dtd") -> Path:
    """Write two partitions: in the second, train and test change places."""
    for number, split in enumerate(("train", "val", "test")):
        images = [f"{name}/{name}_{number:04d}.jpg" for name in CLASSES]
        other = {"train": "test", "test": "train"}.get(split, split)
        lines = "".join(f"{image}\n" for image in images)
        write_text(root / folder / "labels" / f"{split}1.txt", lines)
        write_text(root / folder / "labels" / f"{other}2.txt", lines)
        for image in images:
            write_image(root / folder / "images" / image)
    return root


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(DtdDataset(path=str(path), **settings))


@pytest.mark.parametrize("partition", [1, 2])
def test_it_is_read_as_torchvision_reads_it(tmp_path: Path, partition: int) -> None:
    write(tmp_path)

    found = read(tmp_path, partition=partition)

    for split in ("train", "val", "test"):
        theirs = DTD(tmp_path, split=split, partition=partition)
        expected = below(tmp_path / "dtd" / "dtd", theirs._image_files, theirs._labels)
        assert labelled(found, split) == expected
    assert class_ids(found) == ["banded", "polka-dotted", "zigzagged"]
    assert names_of(found) == [("banded",), ("polka-dotted",), ("zigzagged",)]


def test_a_class_keeps_its_number_where_a_split_lacks_another(tmp_path: Path) -> None:
    write(tmp_path)
    write_text(tmp_path / "dtd/dtd/labels/test1.txt", "zigzagged/zigzagged_0002.jpg\n")

    found = read(tmp_path)

    assert labelled(found, "test") == [("images/zigzagged/zigzagged_0002.jpg", 2)]


def test_its_archive_is_read_where_it_unpacks(tmp_path: Path) -> None:
    write(tmp_path, "dtd")

    assert read(tmp_path).images == read(tmp_path / "dtd").images


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("banded_0001.jpg", "image 4 lies in no class folder", id="flat"),
        pytest.param("a/b/c.jpg", "image 4 lies in no class folder", id="deep"),
        pytest.param("../banded.jpg", "image 4 must stay inside", id="outside"),
    ],
)
def test_a_broken_line_is_told(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path)
    with (tmp_path / "dtd/dtd/labels/train1.txt").open("a") as lists:
        lists.write(line)

    with pytest.raises(InputError, match=f"train1.txt: {message}"):
        read(tmp_path)


def test_an_image_of_two_splits_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "dtd/dtd/labels/test1.txt").open("a") as lists:
        lists.write("banded/banded_0000.jpg\n")

    with pytest.raises(InputError, match=r"0000.jpg is listed twice: in `train`, and in `test`"):
        read(tmp_path)


@pytest.mark.parametrize("partition", [0, 11])
def test_there_are_ten_partitions(partition: int) -> None:
    with pytest.raises(ValueError, match="partition must be from 1 to 10"):
        DtdDataset(path="x", partition=partition)


def test_a_list_without_an_image_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "dtd/dtd/labels/test1.txt").write_text("")

    with pytest.raises(InputError, match=r"/test1\.txt: names no image"):
        read(tmp_path)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    assert KIND.recognize("dtd", str(write(tmp_path))) == DtdDataset(path=str(tmp_path))
    assert KIND.recognize("dtd", str(tmp_path / "dtd" / "dtd" / "images")) is None


def test_its_images_lie_below_the_folder_of_images(tmp_path: Path) -> None:
    for root in (write(tmp_path), tmp_path / "dtd/dtd"):
        settings = DtdDataset(path=str(root))
        folder = KIND.image_folder(settings)

        assert folder == f"{tmp_path}/dtd/dtd"
        assert files_below(folder, KIND.read(settings))
