import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_identity import identity_of
from published_forms import class_ids, labelled, names_of
from torchvision.datasets import MNIST

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.labels.mnist import KIND, MnistDataset
from openalign.images.decoding import decode

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = {"train": [5, 0, 9], "t10k": [7, 2]}


def idx(array: Any) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write(folder: Path, *, packed: bool = False, dot: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = {"train": IMAGES[:3], "t10k": IMAGES[3:]}
    for prefix, labels in LABELS.items():
        for what, array in (("images", images[prefix]), ("labels", np.array(labels))):
            name = f"{prefix}-{what}{'.' if dot else '-'}idx{array.ndim}-ubyte"
            content = idx(array)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return folder


def read(path: Path, **settings: Any) -> Dataset:
    return KIND.read(MnistDataset(path=str(path), **settings))


@pytest.mark.parametrize("packed", [pytest.param(True, id="packed"), pytest.param(False, id="not")])
def test_it_is_read_as_torchvision_reads_it(tmp_path: Path, *, packed: bool) -> None:
    write(tmp_path / "theirs" / "MNIST" / "raw")
    write(tmp_path / "ours", packed=packed)

    found = read(tmp_path / "ours")

    for split in ("train", "test"):
        theirs = MNIST(tmp_path / "theirs", train=split == "train")
        ours = [image for image in found.images if image.split == split]
        assert [image.label for image in ours] == theirs.targets.tolist()
        for number, image in enumerate(ours):
            pixels = np.asarray(decode(image.place.read()))
            assert np.array_equal(pixels, np.asarray(theirs[number][0].convert("RGB")))
    assert labelled(found, "train") == [("train/00000", 5), ("train/00001", 0), ("train/00002", 9)]
    assert class_ids(found) == [str(number) for number in range(10)]
    assert names_of(found)[0] == ()


def test_copies_with_a_dot_and_torchvisions_folder_are_read(tmp_path: Path) -> None:
    dotted = read(write(tmp_path / "dotted", dot=True))
    write(tmp_path / "root" / "FashionMNIST" / "raw")

    inside = read(tmp_path / "root", class_names="fashion_mnist")

    assert (
        labelled(dotted, "test")
        == labelled(inside, "test")
        == [("test/00000", 7), ("test/00001", 2)]
    )
    assert names_of(inside)[:2] == [("T-shirt/top",), ("Trouser",)]


def test_images_of_a_file_are_hashed_once_and_by_content(tmp_path: Path) -> None:
    one = identity_of(KIND, MnistDataset(path=str(write(tmp_path / "one"))))
    two = identity_of(KIND, MnistDataset(path=str(write(tmp_path / "two"))))
    file = write(tmp_path / "three") / "train-labels-idx1-ubyte"
    file.write_bytes(idx(np.array([0, 5, 9])))  # two labels change places

    assert one == two
    assert identity_of(KIND, MnistDataset(path=str(tmp_path / "three"))) != one


def test_an_error_names_image_and_file(tmp_path: Path) -> None:
    image = read(write(tmp_path)).images[4]

    assert image.where == f"{tmp_path}/t10k-images-idx3-ubyte: test/00001"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        pytest.param(
            "t10k-labels-idx1-ubyte",
            idx(np.array([1, 2, 3])),
            "has 2 images, and .*3 labels",
            id="3",
        ),
        pytest.param(
            "train-images-idx3-ubyte",
            idx(IMAGES[:3])[:-1],
            "announces 3 x 28 x 28 bytes, and 2351 follow",
            id="cut off",
        ),
        pytest.param(
            "train-images-idx3-ubyte", idx(np.array([1])), "no IDX file .* 3 axes", id="labels"
        ),
        pytest.param("train-images-idx3-ubyte", b"\x1f\x8bxx", "cannot be unpacked", id="no gzip"),
        pytest.param("train-images-idx3-ubyte", b"", "no IDX file", id="empty"),
    ],
)
def test_a_broken_file_is_told(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    (write(tmp_path) / file).write_bytes(content)

    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no train-images-idx3-ubyte"):
        read(tmp_path)
    (write(tmp_path) / "t10k-labels-idx1-ubyte").unlink()

    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte is not there"):
        read(tmp_path)


def test_it_is_recognized_by_its_form(tmp_path: Path) -> None:
    path = str(write(tmp_path, packed=True))

    assert KIND.recognize("mnist", path) == MnistDataset(path=path, class_names="mnist")
    assert KIND.recognize("fashion_mnist", path) is not None
    assert KIND.recognize("", path) == MnistDataset(path=path)
    assert KIND.recognize("mnist", str(tmp_path / "nowhere")) is None
