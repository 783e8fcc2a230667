import os
import re
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from dataset_identity import identity_of
from published_forms import below, class_ids, labelled, names_of, write_image, write_text
from torchvision.datasets import ImageFolder

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset, check_labels, check_names
from openalign.evaluate.datasets.kinds import kind_of
from openalign.evaluate.datasets.labels.class_folders import KIND, ClassFoldersDataset
from openalign.evaluate.datasets.recognition import recognized
from openalign.images.decoding import decode


def read(path: Path | str, **settings: Any) -> Dataset:
    return KIND.read(ClassFoldersDataset(path=str(path), **settings))


def test_one_split_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    for name in ("dog/b.jpg", "dog/a.jpg", "cat/1.png", "ant eater/z.JPEG", "ant eater/Z.JPEG"):
        write_image(tmp_path / name)
    oracle = ImageFolder(tmp_path)

    found = read(tmp_path)

    assert class_ids(found) == ["ant eater", "cat", "dog"] == oracle.classes
    assert labelled(found, "test") == below(tmp_path, *zip(*oracle.samples, strict=True))
    assert found.splits == ("test",)
    assert (found.test_split, found.train_split) == ("test", "test")


def test_splits_share_their_classes(tmp_path: Path) -> None:
    for name in ("train/dog/a.jpg", "train/cat/b.jpg", "val/dog/c.jpg", "val/eel/d.jpg"):
        write_image(tmp_path / name)

    found = read(tmp_path)

    assert class_ids(found) == ["cat", "dog", "eel"]  # torchvision would call val's dog 0
    assert labelled(found, "train") == [("train/cat/b.jpg", 0), ("train/dog/a.jpg", 1)]
    assert labelled(found, "val") == [("val/dog/c.jpg", 1), ("val/eel/d.jpg", 2)]
    assert (found.test_split, found.train_split) == ("val", "train")


def test_numbers_are_given_for_test_where_there_are_test_and_val(tmp_path: Path) -> None:
    for split in ("Train", "test", "val"):
        write_image(tmp_path / split / "dog" / "a.jpg")

    found = read(tmp_path)

    assert found.splits == ("Train", "test", "val")
    assert (found.test_split, found.train_split) == ("test", "Train")


def test_folders_that_are_numbers_come_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    for number in (0, 1, 2, 9, 10, 11, 100, 999):
        write_image(tmp_path / str(number) / "a.jpeg")

    found = read(tmp_path, class_names="imagenet")

    assert class_ids(found) == ["0", "1", "2", "9", "10", "11", "100", "999"]
    assert labelled(found, "test")[4] == ("10/a.jpeg", 4)
    assert names_of(found)[4] == ("brambling",)  # class 10 of ImageNet, not class 4
    assert ImageFolder(tmp_path).classes[2:4] == ["10", "100"]  # sorted as text: the classic fault


def test_synset_folders_are_named_by_imagenets_list(tmp_path: Path) -> None:
    for synset in ("n01443537", "n01440764", "n15075141"):
        write_image(tmp_path / synset / "a.jpg")

    found = read(tmp_path, class_names="imagenet")

    assert class_ids(found) == ["n01440764", "n01443537", "n15075141"]
    assert names_of(found) == [("tench",), ("goldfish",), ("toilet paper",)]


def test_the_names_of_folders_are_the_names_of_classes_where_they_are_words(
    tmp_path: Path,
) -> None:
    for name in ("great_owl", "n01440764", "tench"):
        write_image(tmp_path / name / "a.jpg")

    found = read(tmp_path)

    assert names_of(found) == [("great owl",), (), ("tench",)]
    with pytest.raises(InputError, match="benchmark `b`: class `n01440764` has no name") as caught:
        check_names(found, of="benchmark `b`")
    assert "`class_names:`" in str(caught.value.hint)
    check_labels(found, {"test"}, of="benchmark `b`")


def test_what_programs_leave_behind_is_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "cat" / "a.jpg")
    write_image(tmp_path / "dog" / "b.jpg")
    for name in (".DS_Store", "README.txt", "cat/.DS_Store", "cat/._a.jpg", "cat/Thumbs.db"):
        write_text(tmp_path / name, "x")
    write_image(tmp_path / "__MACOSX" / "cat" / "._a.jpg")
    write_image(tmp_path / ".ipynb_checkpoints" / "a.jpg")

    assert labelled(read(tmp_path), "test") == [("cat/a.jpg", 0), ("dog/b.jpg", 1)]


def test_links_are_followed(tmp_path: Path) -> None:
    write_image(tmp_path / "elsewhere" / "a.jpg")
    root = tmp_path / "root"
    write_image(root / "cat" / "b.jpg")
    (root / "dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "cat" / "c.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")

    found = read(root)

    assert labelled(found, "test") == [("cat/b.jpg", 0), ("cat/c.jpg", 0), ("dog/a.jpg", 1)]
    assert found.images[2].place.read() == (tmp_path / "elsewhere" / "a.jpg").read_bytes()


@pytest.mark.parametrize("link", ["black", "cat/more", "train/black", "val"])
def test_a_link_that_leads_nowhere_is_refused_by_name(tmp_path: Path, link: str) -> None:
    split = "train/" if link in ("train/black", "val") else ""
    write_image(tmp_path / f"{split}cat" / "a.jpg")
    write_image(tmp_path / f"{split}dog" / "a.jpg")
    (tmp_path / link).symlink_to(tmp_path / "a disk that is not mounted")

    ((_, settings),) = recognized("mine", str(tmp_path)).items()
    with pytest.raises(InputError, match=f"/{link} is a link that leads nowhere") as caught:
        kind_of(settings).read(settings)

    assert "would be missing" in str(caught.value.hint)


@pytest.mark.parametrize("split", ["", "test/"])
def test_folders_inside_a_class_folder_are_refused(tmp_path: Path, split: str) -> None:
    for name in ("cat/0.png", "cat/more/1.png", "dog/0.png"):
        write_image(tmp_path / f"{split}{name}")

    ((_, settings),) = recognized("mine", str(tmp_path)).items()
    with pytest.raises(
        InputError, match=r"cat: .* holds folders beside its images: more"
    ) as caught:
        kind_of(settings).read(settings)

    assert "move those of the folders up" in str(caught.value.hint)


def test_what_lies_beside_splits_is_left_out_and_told(tmp_path: Path) -> None:
    for name in ("train/cat/a.jpg", "test/cat/a.jpg", "test.v2/cat/a.jpg", "b.jpg"):
        write_image(tmp_path / name)

    found = read(tmp_path)

    assert found.splits == ("test", "train")
    assert found.notes == (f"{tmp_path}: left out beside the splits: test.v2, b.jpg",)


@pytest.mark.parametrize(
    ("mode", "form", "rgb"),
    [
        pytest.param("L", "JPEG", (76, 76, 76), id="a gray JPEG"),
        pytest.param("CMYK", "JPEG", (255, 0, 0), id="a CMYK JPEG"),
        pytest.param("RGB", "PNG", (255, 0, 0), id="a PNG called .JPEG"),
    ],
)
def test_images_of_odd_forms_are_decoded(
    tmp_path: Path, mode: str, form: str, rgb: tuple[int, int, int]
) -> None:
    write_image(tmp_path / "n01440764" / "a.JPEG", mode=mode, form=form)

    pixels = np.asarray(decode(read(tmp_path).images[0].place.read())).astype(int)

    assert pixels.shape == (20, 24, 3)
    assert np.abs(pixels - rgb).max() <= 2


@pytest.mark.parametrize(
    ("files", "path", "message", "hint"),
    [
        pytest.param(
            ["cat/a.jpg", "dog/notes.txt"],
            "",
            "dog: this class folder holds no image; it holds files that are no images: notes.txt",
            "remove it",
            id="a class without images",
        ),
        pytest.param(
            ["photos/cat/a.jpg", "photos/dog/b.jpg"],
            "",
            "photos: this class folder holds no image, but folders: cat, dog",
            "name .*/photos",
            id="a layer too high",
        ),
        pytest.param(
            ["cat/a.jpg"], "cat", "cat: a.jpg lie in it", "name the folder that holds", id="too low"
        ),
        pytest.param(
            ["cat/.a.jpg"], "cat", "holds no class folders", "a folder a class", id="empty"
        ),
        pytest.param([], "nowhere", "nowhere cannot be listed", "", id="not there"),
        pytest.param(
            ["train/cat/a.jpg", "test/b.jpg"],
            "",
            "test: has no class folders, unlike the split beside it",
            "kind: imagenet",
            id="a split without classes",
        ),
        pytest.param(
            ["train/cat/a.jpg", "train/b.jpg"],
            "",
            "train: b.jpg lie in no class",
            "each",
            id="mixed",
        ),
    ],
)
def test_a_wrong_layer_is_told_with_the_folder_to_name(
    tmp_path: Path, files: list[str], path: str, message: str, hint: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()

    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / path)

    assert re.search(hint, caught.value.hint or "")


def test_an_empty_class_folder_is_an_error(tmp_path: Path) -> None:
    write_image(tmp_path / "cat" / "a.jpg")
    (tmp_path / "dog").mkdir()

    with pytest.raises(InputError, match="dog: this class folder holds no image; it holds nothing"):
        read(tmp_path)


def test_a_folder_on_an_object_store_is_read_alike(tmp_path: Path) -> None:
    files = ("train/cat/a.jpg", "train/dog/b.jpg", "test/cat/c.jpg")
    store = fsspec.filesystem("memory")
    for file in files:
        write_image(tmp_path / file)
        store.pipe(f"/folders-of-classes/{file}", (tmp_path / file).read_bytes())

    remote, local = read("memory://folders-of-classes"), read(tmp_path)

    assert [(i.name, i.split, i.label) for i in remote.images] == [
        (i.name, i.split, i.label) for i in local.images
    ]
    assert remote.images[0].place.read() == local.images[0].place.read()


def test_the_fingerprint_is_that_of_images_and_classes_and_not_of_their_place(
    tmp_path: Path,
) -> None:
    def fingerprint(folder: str, name: str, color: str, class_names: str = "") -> str:
        write_image(tmp_path / folder / "ant" / "a.jpg")
        write_image(tmp_path / folder / name / "a.jpg", color)
        settings = ClassFoldersDataset(path=str(tmp_path / folder), class_names=class_names)
        return identity_of(KIND, settings)

    names = write_text(tmp_path / "names.txt", "ants\ncats\n")
    first = fingerprint("one", "cat", "red")

    assert fingerprint("two", "cat", "red") == first
    assert fingerprint("three", "dog", "red") != first
    assert fingerprint("four", "cat", "blue") != first
    assert fingerprint("five", "cat", "red", str(names)) != first


def test_a_form_is_recognized_by_what_lies_there(tmp_path: Path) -> None:
    root = tmp_path / "imagenetv2" / "imagenetv2-matched-frequency-format-val"
    for number in ("0", "1", "10"):
        write_image(root / number / "a.jpeg")
    (tmp_path / "flat").mkdir()
    write_image(tmp_path / "flat" / "a.jpg")

    found = KIND.recognize("imagenet_v2", str(tmp_path / "imagenetv2"))

    assert found == ClassFoldersDataset(path=str(root), class_names="imagenet")
    assert KIND.recognize("birds", str(root)) == ClassFoldersDataset(path=str(root))
    assert KIND.recognize("birds", str(tmp_path / "flat")) is None
    assert KIND.recognize("birds", str(tmp_path / "nowhere")) is None
    assert KIND.recognize("birds", str(root / "0" / "a.jpeg")) is None
    assert KIND.recognize("birds", "nosuchdriver://x") is None


def test_a_folder_of_another_form_is_not_recognized(tmp_path: Path) -> None:
    write_image(tmp_path / "cars" / "cars_test" / "00001.jpg")
    write_image(tmp_path / "cars" / "cars_train" / "00001.jpg")
    write_text(tmp_path / "cars" / "devkit" / "cars_meta.mat", "x")
    for split in ("train", "val"):
        write_image(tmp_path / "imagenet" / split / "n01440764" / "a.JPEG")

    for split in ("train800", "test"):
        write_image(tmp_path / "cifar" / "images" / split / "000000.jpg")
        write_text(tmp_path / "cifar" / f"{split}.txt", f"images/{split}/000000.jpg 1\n")

    assert KIND.recognize("", str(tmp_path / "cars")) is None
    assert KIND.recognize("", str(tmp_path / "cifar")) is None
    assert KIND.recognize("", str(tmp_path / "imagenet")) is None  # it has a kind of its own
    assert KIND.recognize("", str(tmp_path / "imagenet" / "val")) is None  # one class
    assert KIND.recognize("class_folders", str(tmp_path / "imagenet")) is not None


def test_an_unreadable_folder_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "cat" / "a.jpg")

    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="cannot be listed: Permission denied"):
        read(tmp_path)
