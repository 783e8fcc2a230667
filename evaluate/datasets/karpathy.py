"""Reads Karpathy's benchmark JSON (`dataset_flickr30k.json`, `dataset_coco.json` and their like).

    {"dataset": "coco", "images": [{"filename": "9.jpg", "filepath": "val2014", "split": "test",
                                    "sentences": [{"raw": "A plate of food."}, ...]}, ...]}

Strict: what is missing or of another type is an error that names file, image and key. Keys that
are not used (tokens, ids) are dropped while the file is parsed, so memory holds names and captions.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from openalign.errors import InputError
from openalign.files import storage

FIRST_CAPTIONS = 5
"""Flickr30K and MSCOCO are scored on the first five captions of a picture."""

_USED = frozenset({"images", "filename", "filepath", "split", "sentences", "raw"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkImage:
    """One picture of a benchmark with its captions."""

    name: str
    """Its file name: unique in a benchmark."""

    split: str
    path: str
    """Where it lies below the folder of pictures."""

    url: str
    """Where it lies."""

    captions: tuple[str, ...]


def read(
    path: str,
    splits: Sequence[str] = (),
    *,
    images: str = "",
    max_captions: int = FIRST_CAPTIONS,
) -> list[BenchmarkImage]:
    """Return the pictures of some splits, or of all when none is named, in the file's order.

    Raises:
        InputError: the file is not Karpathy's JSON, names a picture twice, or lacks a split.
    """
    entries = _entries(path)
    folder = folder_of(path, images)
    found = [
        _image(_At(path, number), entry, folder=folder, max_captions=max_captions)
        for number, entry in enumerate(entries)
    ]
    _check_unique(path, found)
    present = list(dict.fromkeys(image.split for image in found))
    for split in splits:
        if split not in present:
            raise InputError(
                f"{path}: no image is in split `{split}`", hint=f"splits are: {', '.join(present)}"
            )
    return [image for image in found if not splits or image.split in splits]


def folder_of(path: str, images: str = "") -> str:
    """Return the folder of the pictures: `images`, or else that of the file."""
    return images or path.rpartition("/")[0] or "."


@dataclass(frozen=True, slots=True)
class _At:
    """A place in a file, for messages."""

    path: str
    number: int

    def error(self, message: str) -> InputError:
        return InputError(f"{self.path}: image {self.number}: {message}")

    def text(self, entry: dict[str, Any], key: str, *, where: str = "") -> str:
        """Return a text that must be there and not be empty."""
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            found = "is missing" if key not in entry else f"must be a text, got {value!r}"
            raise self.error(f"`{where}{key}` {found}")
        return value


def _entries(path: str) -> list[Any]:
    try:
        content = json.loads(storage.read_bytes(path), object_hook=_without_unused)
    except ValueError as error:  # not JSON, or not UTF-8
        raise InputError(f"{path}: is not JSON: {error}") from error
    entries = cast("dict[str, Any]", content).get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InputError(
            f"{path}: `images` must be a list of pictures",
            hint='Karpathy\'s format is {"images": [{"filename", "split", "sentences"}, ...]}',
        )
    if not entries:
        raise InputError(f"{path}: `images` is empty")
    return cast("list[Any]", entries)


def _without_unused(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in _USED}


def _image(at: _At, entry: Any, *, folder: str, max_captions: int) -> BenchmarkImage:
    if not isinstance(entry, dict):
        raise at.error(f"must be a mapping, got {entry!r}")
    values = cast("dict[str, Any]", entry)
    name = at.text(values, "filename")
    path = f"{at.text(values, 'filepath')}/{name}" if values.get("filepath") else name
    if ".." in path.split("/"):
        raise at.error(f"`filename` must stay inside the folder of pictures, got {path!r}")
    sentences = values.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        raise at.error("`sentences` must be a list that is not empty")
    return BenchmarkImage(
        name=name,
        split=at.text(values, "split"),
        path=path,
        url=storage.join(folder, path),
        captions=tuple(_captions(at, cast("list[Any]", sentences)[:max_captions])),
    )


def _captions(at: _At, sentences: Sequence[Any]) -> list[str]:
    captions: list[str] = []
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, dict):
            raise at.error(f"`sentences[{number}]` must be a mapping, got {sentence!r}")
        values = cast("dict[str, Any]", sentence)
        captions.append(at.text(values, "raw", where=f"sentences[{number}].").strip())
    return captions


def _check_unique(path: str, images: Sequence[BenchmarkImage]) -> None:
    first: dict[str, int] = {}
    for number, image in enumerate(images):
        if image.name in first:
            raise InputError(
                f"{path}: image {number}: `filename` {image.name} is that of image "
                f"{first[image.name]} too"
            )
        first[image.name] = number
