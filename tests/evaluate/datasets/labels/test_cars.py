from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_forms import below, class_ids, files_below, labelled, names_of, write_image
from scipy.io import savemat
from torchvision.datasets import StanfordCars

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.cars import KIND, CarsDataset

NAMES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]


def annotations(rows: list[tuple[int, str]], *, classes: bool = True) -> dict[str, Any]:
    """Return a struct array as the devkit has it: [1, N], boxes before class and file."""
    boxes = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")]
    fields = [*boxes, *([("class", "O")] if classes else []), ("fname", "O")]
    values = [(39, 116, 569, 375, *((number,) if classes else ()), file) for number, file in rows]
    return {"annotations": np.array([values], dtype=fields)}


def write(root: Path, *, train: list[tuple[int, str]] | None = None) -> Path:
    folder = root / "stanford_cars"
    of_train = train or [(2, "00001.jpg"), (1, "00002.jpg"), (3, "00003.jpg")]
    of_test = [(3, "00001.jpg"), (2, "00002.jpg")]
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([NAMES], dtype=object)})
    savemat(folder / "devkit/cars_train_annos.mat", annotations(of_train))
    savemat(folder / "devkit/cars_test_annos.mat", annotations(of_test, classes=False))
    savemat(folder / "cars_test_annos_withlabels.mat", annotations(of_test))
    for number in (1, 2, 3):
        write_image(folder / "cars_train" / f"{number:05d}.jpg")
        write_image(folder / "cars_test" / f"{number:05d}.jpg")
    return root


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(CarsDataset(path=str(path), **settings))


def test_it_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    write(tmp_path)

    found = read(tmp_path)

    for split in ("train", "test"):
        theirs = StanfordCars(tmp_path, split=split)
        paths, labels = zip(*theirs._samples, strict=True)
        assert labelled(found, split) == below(tmp_path / "stanford_cars", paths, labels)
        assert [name for (name,) in names_of(found)] == theirs.classes == NAMES
    assert labelled(found, "train")[0] == ("cars_train/00001.jpg", 1)
    assert class_ids(found) == ["1", "2", "3"]


def test_labels_of_test_may_lie_in_the_devkit(tmp_path: Path) -> None:
    folder = write(tmp_path) / "stanford_cars"
    labels = folder / "cars_test_annos_withlabels.mat"
    labels.rename(folder / "devkit" / labels.name)

    found = read(folder)

    assert labelled(found, "test") == [("cars_test/00001.jpg", 2), ("cars_test/00002.jpg", 1)]


def test_the_devkits_own_file_of_test_has_no_labels(tmp_path: Path) -> None:
    folder = write(tmp_path) / "stanford_cars"
    own, labels = folder / "devkit/cars_test_annos.mat", folder / "cars_test_annos_withlabels.mat"
    labels.unlink()

    with pytest.raises(InputError, match=r"cars_test_annos_withlabels.mat is not there") as caught:
        read(tmp_path)
    assert "cars_test_annos.mat has no classes" in str(caught.value.hint)

    own.rename(labels)
    with pytest.raises(InputError, match="records have no field `class`, but bbox_x1"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param((4, "00001.jpg"), "annotation 0: .* from 1 to 3, got '4'", id="class 4"),
        pytest.param((0, "00001.jpg"), "annotation 0: .* from 1 to 3, got '0'", id="class 0"),
        pytest.param((1, "../../x.jpg"), "annotation 0: `fname` must stay inside", id="outside"),
    ],
)
def test_a_broken_annotation_is_told(tmp_path: Path, row: tuple[int, str], message: str) -> None:
    with pytest.raises(InputError, match=f"cars_train_annos.mat: {message}"):
        read(write(tmp_path, train=[row, (1, "00002.jpg")]))


def test_an_image_that_is_listed_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cars_train/00002.jpg is listed twice"):
        read(write(tmp_path, train=[(2, "00002.jpg"), (1, "00002.jpg")]))


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    assert KIND.recognize("cars", str(write(tmp_path))) == CarsDataset(path=str(tmp_path))
    assert KIND.recognize("cars", str(tmp_path / "stanford_cars" / "devkit")) is None


def test_its_images_lie_below_the_folder_of_images(tmp_path: Path) -> None:
    for root in (write(tmp_path), tmp_path / "stanford_cars"):
        settings = CarsDataset(path=str(root))
        folder = KIND.image_folder(settings)

        assert folder == f"{tmp_path}/stanford_cars"
        assert files_below(folder, KIND.read(settings))
