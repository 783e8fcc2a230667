from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_forms import below, class_ids, files_below, labelled, names_of, write_image
from scipy.io import savemat
from torchvision.datasets import Flowers102

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.flowers102 import KIND, Flowers102Dataset

LABELS = [77, 77, 1, 102, 45, 3, 102]
SETS = {"trnid": [6, 1], "valid": [2, 7], "tstid": [3, 5, 4]}


def write(root: Path, *, labels: Any = LABELS, sets: dict[str, Any] = SETS) -> Path:
    """Write them as published: [1, N] arrays of uint8 and uint16, in torchvision's folder."""
    folder = root / "flowers-102"
    for number in range(1, len(LABELS) + 1):
        write_image(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    numbers = {key: np.array([ids], dtype=np.uint16) for key, ids in sets.items()}
    savemat(folder / "setid.mat", numbers)
    return root


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(Flowers102Dataset(path=str(path), **settings))


def test_it_is_read_as_torchvision_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Flowers102, "_check_integrity", lambda _: True)  # knows the real md5
    write(tmp_path)

    found = read(tmp_path)

    for split in ("train", "val", "test"):
        theirs = Flowers102(tmp_path, split=split)
        expected = below(tmp_path / "flowers-102", theirs._image_files, theirs._labels)
        assert labelled(found, split) == expected
    assert labelled(found, "train") == [("jpg/image_00006.jpg", 2), ("jpg/image_00001.jpg", 76)]
    assert class_ids(found) == [str(number) for number in range(1, 103)]
    assert (found.test_split, found.train_split) == ("test", "train")


def test_its_names_are_a_known_list(tmp_path: Path) -> None:
    found = read(write(tmp_path) / "flowers-102", class_names="flowers102")

    assert names_of(found)[:2] == [("pink primrose",), ("hard-leaved pocket orchid",)]
    assert names_of(read(tmp_path))[0] == ()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        pytest.param(
            {"labels": [77, 77, 0, 102, 45, 3, 102]},
            r"imagelabels.mat: `labels`\[2\] must be a number from 1 to 102, got 0",
            id="class 0",
        ),
        pytest.param(
            {"labels": [77, 77, 103, 102, 45, 3, 102]}, r"`labels`\[2\] .*, got 103", id="class 103"
        ),
        pytest.param(
            {"sets": {**SETS, "valid": [2, 8]}},
            r"setid.mat: `valid`\[1\] must be a number from 1 to 7, got 8",
            id="an image that has no label",
        ),
        pytest.param(
            {"sets": {"trnid": [1], "tstid": [2]}},
            "setid.mat: has no variable `valid`, but trnid, tstid",
            id="a set that is missing",
        ),
        pytest.param(
            {"sets": {**SETS, "tstid": [3, 3]}},
            "image_00003.jpg is listed twice: in `test`, and in `test`",
            id="an image twice",
        ),
    ],
)
def test_broken_annotations_are_told_by_place(
    tmp_path: Path, broken: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, **broken))


def test_a_file_that_is_no_matlab_file_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "flowers-102" / "imagelabels.mat").write_bytes(b"<html>not found</html>")

    with pytest.raises(InputError, match=r"imagelabels.mat: is no .mat file"):
        read(tmp_path)


def test_a_folder_without_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"setid.mat is not there") as caught:
        read(tmp_path)

    assert f"{tmp_path}/flowers-102" in str(caught.value.hint)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    found = KIND.recognize("flowers102", str(write(tmp_path)))

    assert found == Flowers102Dataset(path=str(tmp_path), class_names="flowers102")
    inside = str(tmp_path / "flowers-102")
    assert KIND.recognize("", inside) == Flowers102Dataset(path=inside)
    assert KIND.recognize("flowers102", str(tmp_path / "nowhere")) is None


def test_its_images_lie_below_the_folder_of_images(tmp_path: Path) -> None:
    for root in (write(tmp_path), tmp_path / "flowers-102"):
        settings = Flowers102Dataset(path=str(root))
        folder = KIND.image_folder(settings)

        assert folder == f"{tmp_path}/flowers-102"
        assert files_below(folder, KIND.read(settings))
