import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets.imagenet as oracle
from published_forms import (
    below,
    class_ids,
    files_below,
    labelled,
    names_of,
    write_image,
    write_text,
)
from scipy.io import savemat
from torchvision.datasets import ImageFolder

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.imagenet import KIND, ImageNetDataset
from openalign.images.decoding import decode

TENCH, GOLDFISH, KIT_FOX = "n01440764", "n01443537", "n02119789"
ID_ORDER = (KIT_FOX, TENCH, GOLDFISH)
"""Synsets by ILSVRC2012_ID, from 1: not sorted, as in the devkit."""

TRUTH = (2, 1, 3, 1, 2)
"""The class of each image of `val`."""

SYNSET_OF_VAL = [TENCH, KIT_FOX, GOLDFISH, KIT_FOX, TENCH]


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(ImageNetDataset(path=str(path), **settings))


def val_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def write_flat(folder: Path) -> None:
    for number, color in enumerate(("red", "green", "blue", "white", "black"), start=1):
        write_image(folder / val_name(number), color)


def write_train(root: Path) -> None:
    for synset in ID_ORDER:
        write_image(root / "train" / synset / f"{synset}_1.JPEG")


def write_devkit(folder: Path) -> None:
    """Write the devkit's two files; an inner node stands before the leaves."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O")]
    fields += [("num_children", "O"), ("children", "O"), ("wordnet_height", "O")]
    rows: list[Any] = [(1001, "n00001740", "entity", "all", 3, np.array([1, 2, 3]), 9)]
    rows += [
        (id_, synset, f"{synset}, other", "", 0, np.array([]), 0)
        for id_, synset in enumerate(ID_ORDER, start=1)
    ]
    folder.mkdir(parents=True)
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=fields)})
    lines = "".join(f"{id_}\n" for id_ in TRUTH)
    write_text(folder / "ILSVRC2012_validation_ground_truth.txt", lines)


def write_csv(path: Path) -> None:
    lines = [
        f"ILSVRC2012_val_{number:08d},{SYNSET_OF_VAL[number - 1]} 85 1 499 272 "
        f"{SYNSET_OF_VAL[number - 1]} 1 2 3 4 \r\n"
        for number in (3, 1, 2, 5, 4)  # Kaggle's order is not that of the images
    ]
    write_text(path, "".join(["ImageId,PredictionString\r\n", *lines]))


def expected_val() -> list[tuple[str, int]]:
    label_of = {TENCH: 0, GOLDFISH: 1, KIT_FOX: 2}
    return [
        (f"val/{val_name(number)}", label_of[synset])
        for number, synset in enumerate(SYNSET_OF_VAL, start=1)
    ]


def test_synset_folders_are_read_as_torchvision_reads_them(tmp_path: Path) -> None:
    write_train(tmp_path)
    for synset in ID_ORDER:
        write_image(tmp_path / "val" / synset / "ILSVRC2012_val_00000001.JPEG")
    write_image(tmp_path / "test" / "ILSVRC2012_test_00000001.JPEG")  # has no public labels
    train, val = ImageFolder(tmp_path / "train"), ImageFolder(tmp_path / "val")

    found = read(tmp_path, class_names="imagenet")

    assert class_ids(found) == [TENCH, GOLDFISH, KIT_FOX] == train.classes
    assert names_of(found) == [("tench",), ("goldfish",), ("kit fox",)]
    assert labelled(found, "train") == below(tmp_path, *zip(*train.samples, strict=True))
    assert labelled(found, "val") == below(tmp_path, *zip(*val.samples, strict=True))
    assert found.splits == ("train", "val")
    assert (found.test_split, found.train_split) == ("val", "train")


def test_a_flat_val_gets_the_labels_that_torchvision_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, theirs = tmp_path / "ours", tmp_path / "theirs"
    write_flat(root / "val")
    write_devkit(root / "ILSVRC2012_devkit_t12" / "data")
    theirs.mkdir()
    with tarfile.open(theirs / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as devkit:
        devkit.add(root / "ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12")
    with tarfile.open(theirs / "ILSVRC2012_img_val.tar", "w") as images:
        for file in sorted((root / "val").iterdir()):
            images.add(file, file.name)
    monkeypatch.setattr(oracle, "_verify_archive", lambda *_: None)  # it knows the real ones' md5
    val = oracle.ImageNet(theirs, split="val")

    found = read(root)

    assert class_ids(found) == [TENCH, GOLDFISH, KIT_FOX] == val.wnids
    assert labelled(found, "val") == expected_val()
    assert dict(labelled(found, "val")) == {
        f"val/{Path(path).name}": label for path, label in val.samples
    }
    assert (found.test_split, found.splits) == ("val", ("val",))


def test_kaggles_archive_is_read_where_it_unpacks(tmp_path: Path) -> None:
    write_train(tmp_path / "ILSVRC/Data/CLS-LOC")
    write_flat(tmp_path / "ILSVRC/Data/CLS-LOC/val")
    write_csv(tmp_path / "LOC_val_solution.csv")

    found = read(tmp_path)

    assert labelled(found, "val") == expected_val()
    assert files_below(KIND.image_folder(ImageNetDataset(path=str(tmp_path))), found)
    assert labelled(found, "train")[0] == (f"train/{TENCH}/{TENCH}_1.JPEG", 0)
    assert (
        found.images[-1].place.read()
        == (tmp_path / "ILSVRC/Data/CLS-LOC/val" / val_name(5)).read_bytes()
    )


def test_the_order_of_ids_may_be_a_text_file(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")
    truth = write_text(tmp_path / "truth.txt", "".join(f"{id_}\n" for id_ in TRUTH))
    order = write_text(tmp_path / "order.txt", "".join(f"{s} some words\r\n" for s in ID_ORDER))

    found = read(tmp_path, val_labels=str(truth), synsets=str(order))

    assert labelled(found, "val") == expected_val()


def test_sorted_synsets_are_not_taken_for_the_order_of_ids(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")
    truth = write_text(tmp_path / "truth.txt", "".join(f"{id_}\n" for id_ in TRUTH))
    lines = "".join(f"{synset} words\n" for synset in sorted(ID_ORDER))
    order = write_text(tmp_path / "LOC_synset_mapping.txt", lines)

    with pytest.raises(InputError, match="its synsets are sorted") as caught:
        read(tmp_path, val_labels=str(truth), synsets=str(order))

    assert "meta.mat" in str(caught.value.hint)


def test_the_ground_truth_alone_is_refused(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")
    truth = write_text(tmp_path / "truth.txt", "".join(f"{id_}\n" for id_ in TRUTH))

    with pytest.raises(InputError, match="numbers are ILSVRC2012_ID, and nothing tells") as caught:
        read(tmp_path, val_labels=str(truth))

    assert "not the sorted order" in str(caught.value.hint)


def test_a_flat_val_without_labels_is_refused(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")

    with pytest.raises(InputError, match="no labels for them were found") as caught:
        read(tmp_path)

    assert "LOC_val_solution.csv" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["2", "1", "3", "1"], "has no label for .*00000005.JPEG", id="a line too few"),
        pytest.param(["2", "x", "3", "1", "2"], "truth.txt:2: a class must be", id="a word"),
        pytest.param(["2", "1", "4", "1", "2"], "truth.txt:3: .* to 3, got '4'", id="too high"),
        pytest.param(["2", "1", "0", "1", "2"], "truth.txt:3: .* to 3, got '0'", id="zero"),
    ],
)
def test_a_broken_ground_truth_is_told_by_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    write_flat(tmp_path / "val")
    truth = write_text(tmp_path / "truth.txt", "\n".join(lines))
    order = write_text(tmp_path / "order.txt", "\n".join(ID_ORDER))

    with pytest.raises(InputError, match=message):
        read(tmp_path, val_labels=str(truth), synsets=str(order))


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        pytest.param("ILSVRC2012_val_00000001,85 1\n", r"csv:1: has no synset", id="no synset"),
        pytest.param(
            f"ILSVRC2012_val_00000001,{TENCH} 1\nILSVRC2012_val_00000001,{KIT_FOX} 1\n",
            "csv:2: ILSVRC2012_val_00000001 has another synset above",
            id="two labels",
        ),
        pytest.param(f"ILSVRC2012_val_00000001,{TENCH} 1\n", "no label for .*2.JPEG", id="none"),
    ],
)
def test_a_broken_csv_is_told_by_line(tmp_path: Path, csv: str, message: str) -> None:
    write_flat(tmp_path / "val")
    labels = write_text(tmp_path / "labels.csv", csv)

    with pytest.raises(InputError, match=message):
        read(tmp_path, val_labels=str(labels))


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        pytest.param(["fish/a.JPEG"], "neither train nor val, but fish", "above them", id="words"),
        pytest.param(
            ["train/n01440764.tar"], "holds archives, such as n01440764", "tar xf", id="tar"
        ),
        pytest.param(["train/fish/a.JPEG"], "holds fish where synset", "n01440764", id="no synset"),
        pytest.param(["train/a.JPEG"], "a.JPEG lie in no synset folder", "of `train`", id="flat"),
        pytest.param(
            [f"val/{TENCH}/a.JPEG", "val/b.JPEG"],
            "b.JPEG, and folders, such as",
            "either",
            id="mixed",
        ),
    ],
)
def test_another_layer_is_told(tmp_path: Path, files: list[str], message: str, hint: str) -> None:
    for file in files:
        write_text(tmp_path / file, "x")

    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path)

    assert hint in str(caught.value.hint)


def test_a_gray_a_cmyk_and_a_png_image_are_among_them(tmp_path: Path) -> None:
    folder = tmp_path / "val" / TENCH
    write_image(folder / "a.JPEG", mode="L")
    write_image(folder / "b.JPEG", mode="CMYK")
    write_image(folder / "c.JPEG", form="PNG")

    modes = [decode(image.place.read()).mode for image in read(tmp_path).images]

    assert modes == ["RGB", "RGB", "RGB"]


def test_a_folder_of_synsets_alone_counts_as_val(tmp_path: Path) -> None:
    for synset in ID_ORDER:
        write_image(tmp_path / "val" / synset / "a.JPEG")

    found, alone = read(tmp_path), read(tmp_path / "val", class_names="imagenet")

    assert [(i.split, i.label) for i in alone.images] == [("val", 0), ("val", 1), ("val", 2)]
    assert alone.images[0].name == f"{TENCH}/a.JPEG"
    assert names_of(alone)[0] == ("tench",)
    for dataset in (found, alone):
        assert (dataset.test_split, dataset.train_split) == ("val", "val")


def test_an_inner_nodes_id_is_no_class(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")
    write_devkit(tmp_path / "data")
    write_text(tmp_path / "data" / "ILSVRC2012_validation_ground_truth.txt", "1\n1001\n")

    with pytest.raises(InputError, match=r"truth.txt:2: a class must be a number from 1 to 3"):
        read(tmp_path)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    train, flat, kaggle = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    write_train(train)
    write_flat(flat / "val")
    write_flat(kaggle / "ILSVRC/Data/CLS-LOC/val")
    write_image(tmp_path / "d" / "train" / "cat" / "a.jpg")

    for root in (train, flat, kaggle):
        assert KIND.recognize("", str(root)) == ImageNetDataset(path=str(root))
    named = KIND.recognize("imagenet", str(train))
    assert named == ImageNetDataset(path=str(train), class_names="imagenet")
    assert KIND.recognize("imagenet", str(train / "train")) is not None
    assert KIND.recognize("", str(train / "train")) is None
    assert KIND.recognize("", str(tmp_path / "d")) is None
    assert KIND.recognize("imagenet", str(tmp_path / "nowhere")) is None
