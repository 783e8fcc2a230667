"""Reads COCO's JSON of captions (`captions_val2014.json`, `captions_val2017.json`).

    {"images": [{"id": 9, "file_name": "COCO_val2014_000000000009.jpg"}, ...],
     "annotations": [{"id": 661, "image_id": 9, "caption": "A plate of food."}, ...]}

Images come in the order of `images`, captions in that of `annotations`.
"""

import re
from collections import defaultdict
from typing import Annotated

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.captions import CaptionChecker
from openalign.evaluate.datasets.reading.folders import (
    check_inside,
    check_unique,
    glance,
    image_folder_near,
    split_of,
)
from openalign.evaluate.datasets.reading.text import read_json

_FORM = (
    'COCO\'s format is {"images": [{"id", "file_name"}, ...], '
    '"annotations": [{"id", "image_id", "caption"}, ...]}'
)
_ARCHIVES = ("val2014", "train2014", "val2017", "train2017", "test2014", "test2017")
_FOLDERS = (*_ARCHIVES, "images", *(f"images/{name}" for name in _ARCHIVES))
_FILE_NAME = re.compile(r'"file_name"\s*:\s*"([^"\\]+)"')


class _CocoImage(msgspec.Struct, frozen=True):
    id: int | str
    file_name: str


class _Annotation(msgspec.Struct, frozen=True):
    image_id: int | str
    caption: str
    id: int | str | None = None


class _CocoFile(msgspec.Struct, frozen=True):
    images: Annotated[list[_CocoImage], msgspec.Meta(min_length=1)]
    annotations: list[_Annotation]


_DECODER = msgspec.json.Decoder(_CocoFile)


def read(path: str, *, folder: str, split: str, max_captions: int) -> Dataset:
    """Return every image; `folder` is where they lie, `split` what their split is called.

    Raises:
        InputError: the file is not of this form, names an image twice, or has a caption of no
            image.
    """
    content = read_json(path, _DECODER, form=_FORM)
    ids = (str(image.id) for image in content.images)
    check_unique(path, ids, of="image", hint="`id` must be unique")
    check_unique(path, (image.file_name for image in content.images), of="image")
    captions = _by_image(path, content)
    checker = CaptionChecker(path, max_captions)
    split = split or split_of(path)
    images: list[BenchmarkImage] = []
    for number, image in enumerate(content.images):
        name = check_inside(f"{path}: image {number}: `file_name`", image.file_name)
        own = captions[image.id]
        ids = [annotation.id for annotation in own]
        kept, kept_ids = checker.check(
            name,
            [annotation.caption for annotation in own],
            [] if None in ids else [str(each) for each in ids],
        )
        images.append(
            BenchmarkImage(
                name=name,
                split=split,
                place=ImageFile(folder, name),
                captions=kept,
                caption_ids=kept_ids,
            )
        )
    return Dataset(images=images, test_split=split, notes=checker.notes())


def image_folder(path: str) -> str:
    """Return the folder in which the file's first image is found."""
    first = _FILE_NAME.search(glance(path))
    return image_folder_near(path, first[1] if first else "", _FOLDERS)


def is_cocos(text: str) -> bool:
    """Tell by its beginning and end whether a file is of this form: COCO has others, of boxes."""
    return all(f'"{key}"' in text for key in ("images", "file_name", "image_id", "caption"))


def _by_image(path: str, content: _CocoFile) -> defaultdict[int | str, list[_Annotation]]:
    ids = {image.id for image in content.images}
    found: defaultdict[int | str, list[_Annotation]] = defaultdict(list)
    for number, annotation in enumerate(content.annotations):
        if annotation.image_id not in ids:
            raise InputError(
                f"{path}: annotation {number}: `image_id` {annotation.image_id} is no image's `id`",
                hint=_FORM,
            )
        found[annotation.image_id].append(annotation)
    return found
