"""Reads Multi30k's files: a caption a line, in the order of a list of images.

    data/task1/raw/test_2016_flickr.de.gz       1,000 lines, plain or packed
    data/task1/image_splits/test_2016_flickr.txt
    data/task2/raw/test_2016.1.de.gz to test_2016.5.de.gz
    data/task2/image_splits/test_2016_images.txt

`test_2016` is Flickr30K's test split and is called `test` here. The other splits keep their names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.captions import CaptionChecker
from openalign.evaluate.datasets.reading.folders import (
    check_inside,
    check_unique,
    has_files,
    image_folder_near,
)
from openalign.evaluate.datasets.reading.text import read_lines
from openalign.files import storage

_NUM_CAPTIONS = {"task1": 1, "task2": 5}
_TEST = ("test_2016", "test_2016_flickr")
_FOLDERS = ("flickr30k-images", "flickr30k_images", "images")
_LAYOUT = "a clone has data/task1/raw/train.en.gz and data/task1/image_splits/train.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class _SplitFiles:
    """The files of a split."""

    name: str
    image_list: str
    captions: tuple[str, ...]
    """A file for each caption of an image."""


def read(path: str, *, folder: str, language: str, part: str) -> Dataset:
    """Return the images of every split that has captions in the language.

    Raises:
        InputError: no split has, a caption file is missing, or files are not of one length.
    """
    checker = CaptionChecker(path, max(_NUM_CAPTIONS.values()))
    images = [
        image
        for split in _splits(path, language, part)
        for image in _images(split, folder, checker)
    ]
    check_unique(path, (image.name for image in images), of="image")
    return Dataset(images=images, notes=checker.notes())


def files_of(path: str, *, language: str, part: str) -> list[str]:
    """Return the files that are read.

    Raises:
        InputError: no split has captions in the language.
    """
    splits = _splits(path, language, part)
    return [file for split in splits for file in (split.image_list, *split.captions)]


def image_folder(path: str, *, language: str, part: str) -> str:
    """Return the folder in which the first image is found."""
    first = next((each for each in _splits(path, language, part) if each.name == "test"), None)
    lines = read_lines(first.image_list) if first else []
    return image_folder_near(storage.join(path, "data"), lines[0] if lines else "", _FOLDERS)


def is_clone(path: str) -> bool:
    """Tell whether a folder is laid out as Multi30k's repository, or as its folder `data`."""
    return any(
        has_files(path, f"{above}{part}/raw", f"{above}{part}/image_splits")
        for part in _NUM_CAPTIONS
        for above in ("", "data/")
    )


def _splits(path: str, language: str, part: str) -> list[_SplitFiles]:
    above = storage.join(path, "data") if has_files(path, "data") else path
    for each in [part] if part else ["task2", "task1"]:
        found = list(_splits_of(storage.join(above, each), each, language))
        if found:
            return found
    raise InputError(
        f"{path}: has no captions in `{language}`{f' in {part}' if part else ''}", hint=_LAYOUT
    )


def _splits_of(folder: str, part: str, language: str) -> Iterator[_SplitFiles]:
    """Yield the splits that have captions in a language."""
    lists, raw = storage.join(folder, "image_splits"), storage.join(folder, "raw")
    if not (storage.is_folder(lists) and storage.is_folder(raw)):
        return
    files = set(storage.list_names(raw))
    for name in storage.list_names(lists):
        stem = re.sub(r"(_images)?\.txt$", "", name)
        numbers = [""] if part == "task1" else [f".{n + 1}" for n in range(_NUM_CAPTIONS[part])]
        wanted = [f"{stem}{number}.{language}" for number in numbers]
        present = [f if f in files else f"{f}.gz" for f in wanted if files & {f, f"{f}.gz"}]
        if not present:
            continue
        if len(present) < len(wanted):
            raise InputError(
                f"{raw}: has {len(present)} of the {len(wanted)} files {wanted[0]} ..."
            )
        yield _SplitFiles(
            name="test" if stem in _TEST else stem,
            image_list=storage.join(lists, name),
            captions=tuple(storage.join(raw, file) for file in present),
        )


def _images(split: _SplitFiles, folder: str, checker: CaptionChecker) -> Iterator[BenchmarkImage]:
    names = read_lines(split.image_list)
    columns = [read_lines(file) for file in split.captions]
    for file, column in zip(split.captions, columns, strict=True):
        if len(column) != len(names):
            raise InputError(
                f"{file}: has {len(column)} lines, {split.image_list} has {len(names)}",
                hint="they must have a line for each image, in one order",
            )
    for number, (line, *captions) in enumerate(zip(names, *columns, strict=True), start=1):
        # A line of COCO's images goes on with the id of a caption: `COCO_val2014_....jpg#657409`.
        image, _, _ = line.strip().partition("#")
        name = check_inside(f"{split.image_list}:{number}: the image", image)
        kept, _ = checker.check(name, captions)
        yield BenchmarkImage(
            name=name, split=split.name, place=ImageFile(folder, name), captions=kept
        )
