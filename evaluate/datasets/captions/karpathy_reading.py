"""Reads Karpathy's benchmark JSON (`dataset_flickr30k.json`, `dataset_coco.json` and their like).

    {"dataset": "coco", "images": [{"filename": "9.jpg", "filepath": "val2014", "split": "test",
                                    "sentences": [{"raw": "A plate of food."}, ...]}, ...]}

Strict: what is missing or of another type is an error that names file, image and key. Keys that
are not used (tokens, ids) are skipped while the file is parsed, so memory holds names and captions.
"""

import re
from typing import Annotated

import msgspec

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.captions import CaptionChecker
from openalign.evaluate.datasets.reading.folders import (
    check_inside,
    check_unique,
    glance,
    image_folder_near,
)
from openalign.evaluate.datasets.reading.text import read_json

_FORM = 'Karpathy\'s format is {"images": [{"filename", "split", "sentences"}, ...]}'
_FOLDERS = ("images", "flickr30k-images", "flickr30k_images", "Images", "Flicker8k_Dataset")
"""Beside the file, or beside its folder; names of the usual archives."""

_KEYS = re.compile(r'"(filename|filepath)"\s*:\s*"([^"\\]+)"')
_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]
"""A text that is not blank."""


class _Sentence(msgspec.Struct, frozen=True):
    raw: str
    sentid: int | None = None


class _KarpathyImage(msgspec.Struct, frozen=True):
    filename: _Text
    split: _Text
    sentences: Annotated[list[_Sentence], msgspec.Meta(min_length=1)]
    filepath: str | None = None

    @property
    def path(self) -> str:
        return f"{self.filepath}/{self.filename}" if self.filepath else self.filename


class _KarpathyFile(msgspec.Struct, frozen=True):
    images: Annotated[list[_KarpathyImage], msgspec.Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(_KarpathyFile)


def read(path: str, *, folder: str, max_captions: int) -> Dataset:
    """Return every image, in the file's order; `folder` is where the images lie.

    Raises:
        InputError: the file is not Karpathy's JSON, or names an image twice.
    """
    entries = read_json(path, _DECODER, form=_FORM).images
    captions = CaptionChecker(path, max_captions)
    images = [
        _image(f"{path}: image {number}", entry, folder=folder, captions=captions)
        for number, entry in enumerate(entries)
    ]
    check_unique(
        path,
        (image.name for image in images),
        of="image",
        hint="`filepath` and `filename` together must be unique",
    )
    return Dataset(images=images, notes=captions.notes())


def image_folder(path: str) -> str:
    """Return the folder below which the file's first image is found."""
    first = dict(reversed(_KEYS.findall(glance(path))))
    image = "/".join(part for part in (first.get("filepath"), first.get("filename")) if part)
    return image_folder_near(path, image, _FOLDERS)


def is_karpathys(text: str) -> bool:
    """Tell by its beginning whether a file is of this form."""
    return all(f'"{key}"' in text for key in ("images", "filename", "split", "sentences"))


def _image(
    where: str, entry: _KarpathyImage, *, folder: str, captions: CaptionChecker
) -> BenchmarkImage:
    name = check_inside(f"{where}: `filename`", entry.path)
    ids = [sentence.sentid for sentence in entry.sentences]
    kept, kept_ids = captions.check(
        name,
        [sentence.raw for sentence in entry.sentences],
        [] if None in ids else [str(number) for number in ids],
    )
    return BenchmarkImage(
        name=name,
        split=entry.split,
        place=ImageFile(folder, name),
        captions=kept,
        caption_ids=kept_ids,
    )
