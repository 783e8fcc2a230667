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
from openalign.files.hash_cache import missing_files

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


_HEAD_BYTES = 1 << 16
_SAMPLES = 32
"""Images of a part of the data set that are looked for, to find their folder."""

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


def find_file(path: str, *, called: str) -> str | None:
    """Return the file in Karpathy's form at a path or in a folder, or None where there is none.

    Raises:
        InputError: a folder has several, and none is that of the data set that is `called` so.
    """
    if path.endswith(".json"):
        return path if _is_karpathys(path) else None
    found = [
        name
        for name in storage.list_names(path)
        if name.endswith(".json") and _is_karpathys(storage.join(path, name))
    ]
    wanted = f"dataset_{called}.json"
    if len(found) > 1 and wanted not in found:
        raise InputError(f"{path} holds {', '.join(found)}", hint="name one of these files")
    if not found:
        return None
    return storage.join(path, wanted if wanted in found else found[0])


def _is_karpathys(path: str) -> bool:
    """Tell from a file's beginning whether it is in Karpathy's form."""
    head = storage.read_range(path, 0, _HEAD_BYTES)
    return b'"filename"' in head and b'"sentences"' in head


def find_images(path: str) -> str:
    """Return the folder of a file's images: its own, or the one in it that holds the most.

    Raises:
        InputError: the file is not Karpathy's JSON.
    """
    own = path.rpartition("/")[0] or "."
    dataset = read(path, folder=own, max_captions=1)
    # A copy may lack a split, or one of COCO's folders: some images of each are looked for.
    parts: dict[tuple[str, str], list[str]] = {}
    for image in dataset.images:
        parts.setdefault((image.split, image.name.rpartition("/")[0]), []).append(image.name)
    samples = [name for part in parts.values() for name in part[:: 1 + len(part) // _SAMPLES]]
    below = [
        storage.join(own, name)
        for name, details in sorted(storage.list_details(own).items())
        if details["type"] == "directory"
    ]

    def num_missing(folder: str) -> int:
        return len(missing_files(storage.join(folder, name) for name in samples))

    return min((own, *below), key=num_missing)


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
