"""A map of images: those that the model sees as alike lie near each other.

`image_map.json` holds it, a place an image; the report draws it with small copies of the images.
"""

# ruff: noqa: N803, N806  # capitals are shape suffixes

import json
from collections.abc import Sequence

import msgspec
import numpy as np

from openalign.errors import InputError
from openalign.evaluate.metrics.tsne import tsne
from openalign.evaluate.metrics.vectors import Vectors
from openalign.evaluate.results import made_anew
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import IMAGE_MAP_FILE

_DECIMALS = 3


class MappedImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image and where it lies."""

    name: str
    x: float
    """From 0, left, to 1."""

    y: float
    """From 0, top, to 1."""

    class_: str = msgspec.field(name="class", default="")
    """What its class is called; empty where none is known."""


class ImageMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `image_map.json`."""

    benchmark: str
    """Empty where no benchmark has enough images for a map; there are no images then."""

    split: str
    num_images: int
    """Of the split; the map may have fewer."""

    images: tuple[MappedImage, ...]


NO_MAP = ImageMap(benchmark="", split="", num_images=0, images=())
_MAP = msgspec.json.Decoder(ImageMap)


def lay_out(
    names: Sequence[str], rows_ND: Vectors, classes: Sequence[str]
) -> tuple[MappedImage, ...]:
    """Return where images lie, by their embeddings; `classes` are what their classes are called."""
    place_N2 = tsne(rows_ND)
    low, high = place_N2.min(axis=0), place_N2.max(axis=0)
    place_N2 = (place_N2 - low) / np.maximum(high - low, np.finfo(np.float64).tiny)
    return tuple(
        MappedImage(name=name, x=round(x, _DECIMALS), y=round(y, _DECIMALS), class_=class_)
        for name, (x, y), class_ in zip(names, place_N2.tolist(), classes, strict=True)
    )


def write_map(output: str, found: ImageMap) -> DataFile:
    """Write the map."""
    text = json.dumps(msgspec.to_builtins(found), indent=1, sort_keys=True, ensure_ascii=False)
    written = storage.write_text(storage.join(output, IMAGE_MAP_FILE), f"{text}\n")
    return DataFile.of(IMAGE_MAP_FILE, written, num_rows=len(found.images))


def read_map(folder: str) -> ImageMap:
    """Return the map of a folder of results.

    Raises:
        InputError: its file is no map.
    """
    url = storage.join(folder, IMAGE_MAP_FILE)
    try:
        return _MAP.decode(storage.read_bytes(url))
    except msgspec.DecodeError as error:
        raise InputError(f"{url}: is not a map of images: {error}", hint=made_anew(url)) from error
