"""Reads Karpathy's benchmark JSON (`dataset_flickr30k.json`, `dataset_coco.json` and their like).

    {"dataset": "coco", "images": [{"filename": "9.jpg", "filepath": "val2014", "split": "test",
                                    "sentences": [{"raw": "A plate of food."}, ...]}, ...]}

Strict: what is missing or of another type is an error that names file, image and key. Keys that
are not used (tokens, ids) are skipped while the file is parsed, so memory holds names and captions.
"""

import re
from typing import Annotated

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.files import storage

_FORMAT = 'Karpathy\'s format is {"images": [{"filename", "split", "sentences"}, ...]}'
_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]
"""A text that is not blank."""


class _Sentence(msgspec.Struct, frozen=True):
    raw: _Text
    sentid: int | None = None


class _Image(msgspec.Struct, frozen=True):
    filename: _Text
    split: _Text
    sentences: Annotated[list[_Sentence], msgspec.Meta(min_length=1)]
    filepath: str | None = None


class _KarpathyFile(msgspec.Struct, frozen=True):
    images: Annotated[list[_Image], msgspec.Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(_KarpathyFile)


def read(path: str, *, folder: str, max_captions: int) -> Dataset:
    """Return every image, in the file's order; `folder` is where the images lie.

    Raises:
        InputError: the file is not Karpathy's JSON, or names an image twice.
    """
    entries = _decoded(path).images
    images = [
        _image(f"{path}: image {number}", entry, folder=folder, max_captions=max_captions)
        for number, entry in enumerate(entries)
    ]
    first: dict[str, int] = {}
    for number, image in enumerate(images):
        if first.setdefault(image.name, number) != number:
            raise InputError(
                f"{path}: image {number}: {image.name} is image {first[image.name]} too",
                hint="`filepath` and `filename` together must be unique",
            )
    return Dataset(images=images)


def _decoded(path: str) -> _KarpathyFile:
    try:
        return _DECODER.decode(storage.read_bytes(path))
    except msgspec.ValidationError as error:
        of_image = re.search(r"`\$\.images\[(\d+)\]", str(error))
        where = f"image {of_image[1]}: " if of_image else ""
        raise InputError(f"{path}: {where}{error}", hint=_FORMAT) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not JSON: {error}") from error


def _image(where: str, entry: _Image, *, folder: str, max_captions: int) -> BenchmarkImage:
    path = f"{entry.filepath}/{entry.filename}" if entry.filepath else entry.filename
    if ".." in path.split("/"):
        raise InputError(f"{where}: `filename` must stay inside the folder of images, got {path!r}")
    sentences = entry.sentences[:max_captions]
    ids = [sentence.sentid for sentence in sentences]
    return BenchmarkImage(
        name=path,
        split=entry.split,
        place=ImageFile(folder, path),
        captions=tuple(sentence.raw.strip() for sentence in sentences),
        caption_ids=() if None in ids else tuple(str(number) for number in ids),
    )
