"""Which split an image is in, where the file of captions does not say: lists that others keep.

Either Karpathy's JSON of the same images, or a folder of lists: `train.txt`, `val.txt`, `test.txt`
as Flickr30K Entities has them, or Flickr8K's `Flickr_8k.testImages.txt`.
"""

from collections.abc import Mapping

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.reading.folders import split_of
from openalign.evaluate.datasets.reading.text import read_json, read_lines
from openalign.files import storage

_FORM = "Karpathy's JSON, or a folder with lists of images such as test.txt"


class _ImageWithSplit(msgspec.Struct, frozen=True):
    filename: str
    split: str


class _ImagesWithSplits(msgspec.Struct, frozen=True):
    images: list[_ImageWithSplit]


_DECODER = msgspec.json.Decoder(_ImagesWithSplits)


def files_of(splits: str) -> list[str]:
    """Return the files that tell the splits.

    Raises:
        InputError: there is none.
    """
    if splits.endswith(".json"):
        return [splits]
    names = storage.list_names(splits) if storage.is_folder(splits) else []
    lists = [name for name in names if name.endswith(".txt") and split_of(name, otherwise="")]
    if not lists:
        raise InputError(f"{splits}: tells no splits", hint=f"`splits` is {_FORM}")
    return [storage.join(splits, name) for name in lists]


def read_splits(splits: str) -> Mapping[str, str]:
    """Return the split of each image, by its file name without `.jpg`.

    Raises:
        InputError: a list cannot be read, or an image is in two splits.
    """
    found: dict[str, str] = {}
    for file in files_of(splits):
        for name, split in _read(file):
            key = without_extension(name)
            if found.setdefault(key, split) != split:
                raise InputError(f"{file}: {name} is in split `{found[key]}` and in `{split}`")
    return found


def without_extension(name: str) -> str:
    """Return an image's name as lists have it that give no extension."""
    return name.removesuffix(".jpg")


def _read(file: str) -> list[tuple[str, str]]:
    if file.endswith(".json"):
        return [
            (image.filename, image.split) for image in read_json(file, _DECODER, form=_FORM).images
        ]
    return [(line.strip(), split_of(file)) for line in read_lines(file) if line.strip()]
