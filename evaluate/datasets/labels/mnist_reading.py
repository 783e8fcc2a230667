"""Reads MNIST's IDX files.

    train-images-idx3-ubyte, train-labels-idx1-ubyte
    t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte      the test split

each packed (`.gz`) or not; some copies write `train-images.idx3-ubyte`. A file of images is the
bytes 0 0 8 3, the number of images, their height and their width as big-endian integers, and then
the gray values row by row. A file of labels is 0 0 8 1, the number of labels, and a byte each.
"""

import gzip
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from openalign.errors import InputError
from openalign.evaluate.datasets.class_names.reading import named_classes
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.datasets.reading.pixels import to_png
from openalign.files import storage

_FOLDERS = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
"""Where the files lie below the data set's folder; the last ones are torchvision's."""

_SPLITS = {"train": "train", "test": "t10k"}
_UBYTE = b"\x00\x00\x08"
_FORM = "IDX files are named like train-images-idx3-ubyte or train-images-idx3-ubyte.gz"


@dataclass(frozen=True, slots=True)
class IdxImage:
    """An image in an IDX file."""

    file: str
    number: int

    def read(self) -> bytes:
        """Return the image as a PNG.

        Raises:
            InputError: the file is not there, or is no IDX file.
        """
        return to_png(_values(self.file, 3)[self.number])


def read(path: str, *, class_names: str) -> Dataset:
    """Return the images of train and test, each in the order of its file.

    Raises:
        InputError: a file is missing, is no IDX file, or has another number of entries.
        MissingExtraError: the library that keeps the names is not installed.
    """
    folder = folder_of_files(path)
    if folder is None:
        raise InputError(
            f"{path}: holds no train-images-idx3-ubyte, packed or not",
            hint=f"{_FORM}; looked in {', '.join(storage.join(path, each) for each in _FOLDERS)}",
        )
    names = storage.list_folder(folder)[1]
    images: list[BenchmarkImage] = []
    for split, prefix in _SPLITS.items():
        file = _file(folder, names, f"{prefix}-images", "idx3-ubyte")
        labels_file = _file(folder, names, f"{prefix}-labels", "idx1-ubyte")
        num_images, labels = len(_values(file, 3)), _values(labels_file, 1)
        if num_images != len(labels):
            raise InputError(
                f"{file}: has {num_images} images, and {labels_file} has {len(labels)} labels",
                hint="take both files from the same place",
            )
        images += [
            BenchmarkImage(
                name=f"{split}/{number:05d}", split=split, place=IdxImage(file, number), label=label
            )
            for number, label in enumerate(labels.tolist())
        ]
    num_classes = 1 + max((image.label or 0 for image in images), default=0)
    ids = [str(number) for number in range(num_classes)]
    return Dataset(images=images, classes=named_classes(ids, class_names))


def folder_of_files(path: str) -> str | None:
    """Return the folder that holds the IDX files: `path`, or where torchvision puts them."""
    for below in _FOLDERS:
        folder = storage.join(path, below) if below else path
        if storage.is_folder(folder):
            names = storage.list_folder(folder)[1]
            if any(name.startswith("train-images") for name in names):
                return folder
    return None


def _file(folder: str, names: list[str], stem: str, end: str) -> str:
    """Return the file of a stem; the unpacked one where both are there."""
    for name in (f"{stem}-{end}", f"{stem}.{end}", f"{stem}-{end}.gz", f"{stem}.{end}.gz"):
        if name in names:
            return storage.join(folder, name)
    raise InputError(f"{storage.join(folder, f'{stem}-{end}')} is not there", hint=_FORM)


@lru_cache(maxsize=4)  # MNIST's two files of images hold 55 MB
def _values(url: str, num_axes: int) -> NDArray[np.uint8]:
    """Return the array in an IDX file."""
    content = storage.read_bytes(url)
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{url}: cannot be unpacked: {error}") from error
    header = 4 + 4 * num_axes
    if len(content) < header or content[:4] != _UBYTE + bytes([num_axes]):
        raise InputError(
            f"{url}: is no IDX file of bytes with {num_axes} axes; it begins with {content[:4]!r}",
            hint=_FORM,
        )
    shape = np.frombuffer(content, dtype=">u4", count=num_axes, offset=4).tolist()
    found = len(content) - header
    if found != int(np.prod(shape, dtype=np.int64)):
        raise InputError(
            f"{url}: announces {' x '.join(map(str, shape))} bytes, and {found} follow",
            hint="the file is cut off or damaged; fetch it again",
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
