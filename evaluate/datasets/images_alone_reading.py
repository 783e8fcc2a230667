"""Reads folders of images of which nothing is said.

    <path>/*.jpg, <path>/<any>/<depth>/*.png        one split

What no image's name ends like, and names that begin with a dot, are left out. Links are followed.
"""

from collections.abc import Iterator

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.image_folders import IMAGE_SUFFIXES, list_all_images
from openalign.files import storage

_SPLIT = "test"


def read(path: str) -> Dataset:
    """Return all images, each folder's own before those of the folders in it, in order of names.

    Raises:
        InputError: there is no such folder, it holds no image, or a link leads nowhere or back to
            a folder that it lies in.
    """
    images = [
        BenchmarkImage(name=name, split=_SPLIT, place=ImageFile(path, name))
        for name in _names(path)
    ]
    if not images:
        raise InputError(
            f"{path}: neither it nor a folder below it holds an image",
            hint=f"names of images end in {', '.join(IMAGE_SUFFIXES)}",
        )
    return Dataset(images=images, test_split=_SPLIT)


def holds_images(path: str) -> bool:
    """Tell whether there is an image in a folder or below it; a file is no folder.

    Raises:
        InputError: a folder cannot be listed, or a link leads nowhere or back to a folder that it
            lies in.
    """
    return storage.is_folder(path) and next(_names(path), None) is not None


def _names(path: str) -> Iterator[str]:
    """Yield the path of each image below a folder."""
    waiting: list[tuple[str, frozenset[str]]] = [("", frozenset())]
    while waiting:
        below, above = waiting.pop()
        url = storage.join(path, below) if below else path
        real = str(storage.local_path(url).resolve()) if storage.is_local(url) else url
        if real in above:
            raise InputError(
                f"{url}: is a link to a folder that it lies in",
                hint="remove the link, or name a folder inside it",
            )
        listed = list_all_images(url)
        yield from (f"{below}/{name}" if below else name for name in listed.images)
        waiting += [
            (f"{below}/{name}" if below else name, above | {real})
            for name in reversed(listed.folders)
        ]
