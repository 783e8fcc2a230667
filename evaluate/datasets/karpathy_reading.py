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
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.files import storage

_FORMAT = 'Karpathy\'s format is {"images": [{"filename", "split", "sentences"}, ...]}'
_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]
"""A text that is not blank."""


class _Sentence(msgspec.Struct, frozen=True):
    raw: _Text


class _Image(msgspec.Struct, frozen=True):
    filename: _Text
    split: _Text
    sentences: Annotated[list[_Sentence], msgspec.Meta(min_length=1)]
    filepath: str | None = None


class _KarpathyFile(msgspec.Struct, frozen=True):
    images: Annotated[list[_Image], msgspec.Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(_KarpathyFile)


def read(path: str, *, folder: str, max_captions: int) -> list[BenchmarkImage]:
    """Return every image, in the file's order; `folder` is where the images lie.

    Raises:
        InputError: the file is not Karpathy's JSON, or names an image twice.
    """
    entries = _decoded(path).images
    first: dict[str, int] = {}
    for number, entry in enumerate(entries):
        if first.setdefault(entry.filename, number) != number:
            raise InputError(
                f"{path}: image {number}: `filename` {entry.filename} is that of image "
                f"{first[entry.filename]} too"
            )
    return [
        _image(f"{path}: image {number}", entry, folder=folder, max_captions=max_captions)
        for number, entry in enumerate(entries)
    ]


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
    return BenchmarkImage(
        name=entry.filename,
        split=entry.split,
        path=path,
        url=storage.join(folder, path),
        captions=tuple(sentence.raw.strip() for sentence in entry.sentences[:max_captions]),
    )
