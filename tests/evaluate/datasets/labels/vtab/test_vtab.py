"""VTAB-1k as lists beside images."""

from collections import Counter
from pathlib import Path

import pytest
from published_forms import class_ids, labelled, write_image, write_text
from vtab_reads import labels, read

from openalign.errors import InputError
from openalign.evaluate.datasets.labels.vtab.vtab import KIND, VtabDataset
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import VTAB_TASKS

LISTS = {"train800": [3, 99, 3], "val200": [7], "test": [0, 1]}


def write_lists(root: Path, folder: str = "cifar", *, end: str = "jpg") -> Path:
    """Write a task as exporters do: the 1,000 together are copies of their own."""
    both = {"train800val200": LISTS["train800"] + LISTS["val200"]}
    for split, of_split in (LISTS | both).items():
        lines = ""
        for number, label in enumerate(of_split):
            image = f"images/{split}/{number:06d}.{end}"
            write_image(root / folder / image, (label, 0, 0))
            lines += f"{image} {label}\n"
        write_text(root / folder / f"{split}.txt", lines)
    return root


def test_lists_are_read_in_their_order(tmp_path: Path) -> None:
    found = read(write_lists(tmp_path), "cifar100")

    assert labelled(found, "train800") == [
        ("images/train800/000000.jpg", 3),
        ("images/train800/000001.jpg", 99),
        ("images/train800/000002.jpg", 3),
    ]
    assert labels(found, "val200") == [7]
    assert labels(found, "test") == [0, 1]
    assert class_ids(found) == [str(number) for number in range(100)]
    assert (found.test_split, found.train_split) == ("test", "train800val200")


def test_the_thousand_are_those_that_were_learnt_from_and_chosen_by(tmp_path: Path) -> None:
    found = read(write_lists(tmp_path), "cifar100")

    both = [image for image in found.images if image.split == "train800val200"]
    assert [image.label for image in both] == [3, 99, 3, 7]
    assert [image.place.file for image in both] == [
        f"{tmp_path}/cifar/images/train800/000000.jpg",
        f"{tmp_path}/cifar/images/train800/000001.jpg",
        f"{tmp_path}/cifar/images/train800/000002.jpg",
        f"{tmp_path}/cifar/images/val200/000000.jpg",
    ]
    assert max(Counter(image.name for image in found.images).values()) == 1


def test_a_folder_may_be_called_as_the_task_or_be_the_path_itself(tmp_path: Path) -> None:
    write_lists(tmp_path / "a", "cifar100")
    write_lists(tmp_path / "b", "cifar")

    for path in (tmp_path / "b", tmp_path / "b" / "cifar"):
        settings = VtabDataset(path=str(path), task="cifar100")
        assert KIND.image_folder(settings) == f"{tmp_path}/b/cifar"
    other, itself = read(tmp_path / "a", "cifar100"), read(tmp_path / "b" / "cifar", "cifar100")

    assert labelled(other, "test") == labelled(itself, "test")


def test_windows_line_ends_and_a_mark_are_read(tmp_path: Path) -> None:
    write_lists(tmp_path)
    write_text(tmp_path / "cifar" / "test.txt", "\ufeffimages/test/a b.jpg 5\r\nimages/x.jpg 6\r\n")

    assert labelled(read(tmp_path, "cifar100"), "test") == [
        ("images/test/a b.jpg", 5),
        ("images/x.jpg", 6),
    ]


def test_images_that_were_encoded_anew_are_noted(tmp_path: Path) -> None:
    write_lists(tmp_path / "jpg")
    write_lists(tmp_path / "png", end="png")
    write_lists(tmp_path / "jpg", "dtd")
    write_text(tmp_path / "jpg" / "dtd" / "train800.txt", "images/train800/000000.jpg 1\n")

    (note,) = read(tmp_path / "jpg", "cifar100").notes

    assert note.startswith("CIFAR-100: these images are JPEGs that were made of lossless ones")
    assert read(tmp_path / "png", "cifar100").notes == ()
    assert read(tmp_path / "jpg", "dtd").notes == ()  # TFDS has JPEGs too


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("images/a.jpg 100", "from 0 to 99, got '100'", id="a class too high"),
        pytest.param("images/a.jpg -1", "from 0 to 99, got '-1'", id="a class too low"),
        pytest.param("images/a.jpg cat", "from 0 to 99, got 'cat'", id="a word"),
        pytest.param("images/a.jpg", "has no path and class: 'images/a.jpg'", id="no class"),
        pytest.param("", "has no path and class: ''", id="blank"),
        pytest.param("../a.jpg 1", "must stay inside the folder", id="outside"),
        pytest.param(f"a.jpg {'9' * 5000}", "from 0 to 99, got '9999", id="thousands of digits"),
    ],
)
def test_a_broken_line_is_told(tmp_path: Path, line: str, message: str) -> None:
    write_lists(tmp_path)
    write_text(tmp_path / "cifar" / "val200.txt", f"images/val200/000000.jpg 7\n{line}\n")

    with pytest.raises(InputError, match=f"val200.txt:2:? .*{message}"):
        read(tmp_path, "cifar100")


def test_an_image_that_two_lists_share_is_told(tmp_path: Path) -> None:
    write_lists(tmp_path)
    write_text(tmp_path / "cifar" / "val200.txt", "images/train800/000001.jpg 99\n")

    with pytest.raises(InputError, match=r"000001.jpg is listed twice: in `train800`, and in `val"):
        read(tmp_path, "cifar100")


def test_a_list_that_is_missing_is_told(tmp_path: Path) -> None:
    write_lists(tmp_path)
    (tmp_path / "cifar" / "val200.txt").unlink()

    with pytest.raises(InputError, match=r"val200.txt cannot be read: there is no such file"):
        read(tmp_path, "cifar100")


def test_a_task_that_is_not_there_is_told_with_its_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no VTAB task `sun397`") as caught:
        read(write_lists(tmp_path), "sun397")

    assert f"{tmp_path}/sun397/tfds/4.*" in str(caught.value.hint)


def test_a_task_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task must be one of caltech101, cifar100, .*'cifar'"):
        VtabDataset(path="x", task="cifar")


def test_a_collection_is_as_many_benchmarks_as_there_are_tasks(tmp_path: Path) -> None:
    for task in VTAB_TASKS:
        write_text(tmp_path / task.folder / "train800.txt", "")

    found = KIND.expand("vtab", str(tmp_path))

    assert len(found) == 19
    assert found["vtab_cifar100"] == VtabDataset(path=str(tmp_path), task="cifar100")
    assert list(found) == list(KIND.sizes)
    assert KIND.expand("imagenet", str(tmp_path)) == {}
    assert KIND.expand("vtab", str(tmp_path / "cifar" / "nowhere")) == {}
    assert KIND.recognize("vtab", str(tmp_path)) is None
    alone = str(tmp_path / "dsprites_ori")
    assert KIND.recognize("", alone) == VtabDataset(path=alone, task="dsprites_orientation")
