"""What is measured on a data set where nobody says which tasks: `--data NAME=PATH`."""

from dataclasses import replace
from pathlib import Path

import pytest
from published_forms import write_image

from openalign.errors import InputError
from openalign.evaluate.datasets.captions.karpathy import KarpathyDataset
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.kinds import KINDS as DATASETS
from openalign.evaluate.datasets.labels.class_folders import ClassFoldersDataset
from openalign.evaluate.datasets.labels.imagenet import ImageNetDataset
from openalign.evaluate.datasets.labels.pets import KIND as PETS
from openalign.evaluate.datasets.labels.pets import PetsDataset
from openalign.evaluate.tasks.kinds import usual_kinds

ZERO_SHOT = ["zero_shot"]
ALL = ["zero_shot", "neighbors", "probe"]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        pytest.param(["n01498041", "n01531178"], ZERO_SHOT, id="ImageNet-A: one split"),
        pytest.param(["0", "1"], ZERO_SHOT, id="ImageNet-V2: one split"),
        pytest.param(["train/cat", "test/cat"], ALL, id="two splits"),
        pytest.param(["Training/cat", "valid/cat"], ALL, id="two splits of other names"),
        pytest.param(["train/cat"], ZERO_SHOT, id="nothing to be measured on but train"),
        pytest.param(["val/cat", "test/cat"], ZERO_SHOT, id="nothing to learn from"),
    ],
)
def test_nothing_is_learned_from_class_folders_without_a_training_split(
    tmp_path: Path, folders: list[str], expected: list[str]
) -> None:
    for folder in folders:
        write_image(tmp_path / folder / "a.jpg")

    assert usual_kinds(ClassFoldersDataset(path=str(tmp_path))) == expected


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        pytest.param(["val/n01440764"], ZERO_SHOT, id="val alone"),
        pytest.param(["train/n01440764"], ZERO_SHOT, id="train alone"),
        pytest.param(["n01440764"], ZERO_SHOT, id="synset folders alone"),
        pytest.param(["train/n01440764", "val/n01440764"], ALL, id="both"),
        pytest.param(
            [f"ILSVRC/Data/CLS-LOC/{split}/n01440764" for split in ("train", "val")],
            ALL,
            id="both, as Kaggle has them",
        ),
    ],
)
def test_nothing_is_learned_from_an_imagenet_without_train(
    tmp_path: Path, folders: list[str], expected: list[str]
) -> None:
    for folder in folders:
        write_image(tmp_path / folder / "a.JPEG")

    assert usual_kinds(ImageNetDataset(path=str(tmp_path))) == expected


@pytest.mark.parametrize(
    ("splits", "train_split", "expected"),
    [
        pytest.param(("train", "test"), "train", ALL, id="two splits"),
        pytest.param(("test", "test"), "train", ZERO_SHOT, id="no image to learn from"),
        pytest.param(("test", "test"), "test", ZERO_SHOT, id="one split for both"),
        pytest.param(("train", "train"), "train", ZERO_SHOT, id="no image to be measured on"),
    ],
)
def test_a_kind_without_a_quick_look_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    splits: tuple[str, str],
    train_split: str,
    expected: list[str],
) -> None:
    images = [
        BenchmarkImage(name=f"{at}.jpg", split=split, place=ImageFile("", ""), label=0)
        for at, split in enumerate(splits)
    ]
    dataset = Dataset(images=images, train_split=train_split)
    slow = replace(PETS, has_train=None, read=lambda _: dataset)
    monkeypatch.setitem(DATASETS, "pets", slow)

    assert usual_kinds(PetsDataset(path=str(tmp_path))) == expected


def test_a_data_set_of_captions_is_not_read_for_it(tmp_path: Path) -> None:
    assert usual_kinds(KarpathyDataset(path=f"{tmp_path}/elsewhere.json")) == ["retrieval"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="elsewhere"):
        usual_kinds(ClassFoldersDataset(path=f"{tmp_path}/elsewhere"))
