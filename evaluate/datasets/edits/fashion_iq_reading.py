"""Reads FashionIQ: for each category the images of a split, and queries that name them.

    image_splits/split.dress.val.json    ["B009PMCJLW", ...]
    captions/cap.dress.val.json          [{"candidate": "B005X4PL1G", "target": "B0084Y8XIU",
                                           "captions": ["is shiny", "fit and flare"]}, ...]

An image is called by its ASIN and may be of two categories. Queries of `test` have no target, and
some come twice. A few captions are blank: they are left out and counted.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.captions import CaptionChecker
from openalign.evaluate.datasets.reading.folders import check_inside, check_unique
from openalign.evaluate.datasets.reading.text import read_json
from openalign.files import storage

CATEGORIES = ("dress", "shirt", "toptee")

_FORM = 'FashionIQ\'s captions are [{"candidate", "target", "captions"}, ...]'
_SPLIT_FORM = "FashionIQ's image splits are lists of ASINs"
_MAX_CAPTIONS = 2
_EXTENSIONS = (".jpg", ".png", ".jpeg")


class _FashionIqQuery(msgspec.Struct, frozen=True):
    candidate: str
    captions: Annotated[list[str], msgspec.Meta(min_length=1)]
    target: str | None = None


_ASINS = msgspec.json.Decoder(list[str])
_QUERIES = msgspec.json.Decoder(list[_FashionIqQuery])


def read(path: str, *, folder: str, split: str) -> ComposedDataset:
    """Return the images and the queries of a split; `folder` is where the images lie.

    Raises:
        InputError: a file is missing or broken, or a query names an image that is not listed.
    """
    names = _names(folder)
    images: dict[str, BenchmarkImage] = {}
    galleries: dict[str, tuple[int, ...]] = {}
    queries: list[EditQuery] = []
    notes: list[str] = []
    for category in CATEGORIES:
        captions_file, split_file = _files_of(path, category, split)
        asins = _asins(split_file)
        for asin in asins:
            name = names.get(asin, f"{asin}{_EXTENSIONS[0]}")
            images.setdefault(
                asin, BenchmarkImage(name=name, split=split, place=ImageFile(folder, name))
            )
        places = {asin: place for place, asin in enumerate(images)}
        galleries[category] = tuple(places[asin] for asin in asins)
        allowed = {asin: places[asin] for asin in asins}
        checker = CaptionChecker(captions_file, _MAX_CAPTIONS)
        queries += _queries(captions_file, allowed, checker, category)
        notes += checker.notes()
    return ComposedDataset(
        images=list(images.values()),
        test_split=split,
        notes=tuple(notes),
        queries=queries,
        galleries=galleries,
    )


def files_of(path: str, split: str) -> list[str]:
    """Return the files of queries and of images."""
    return [file for category in CATEGORIES for file in _files_of(path, category, split)]


def _files_of(path: str, category: str, split: str) -> tuple[str, str]:
    return (
        storage.join(path, f"captions/cap.{category}.{split}.json"),
        storage.join(path, f"image_splits/split.{category}.{split}.json"),
    )


def _names(folder: str) -> Mapping[str, str]:
    """Return the path of each image in a folder, by its ASIN; copies have .jpg or .png."""
    found: dict[str, str] = {}
    for name in storage.list_files(folder):
        stem, dot, extension = name.rpartition("/")[2].rpartition(".")
        if f"{dot}{extension.lower()}" in _EXTENSIONS:
            found.setdefault(stem, name)
    return found


def _asins(file: str) -> list[str]:
    asins = read_json(file, _ASINS, form=_SPLIT_FORM)
    if not asins:
        raise InputError(f"{file}: has no images", hint=_SPLIT_FORM)
    check_unique(file, asins, of="image")
    return [check_inside(f"{file}: image {number}", asin) for number, asin in enumerate(asins)]


def _queries(
    file: str, places: Mapping[str, int], checker: CaptionChecker, category: str
) -> list[EditQuery]:
    entries = read_json(file, _QUERIES, form=_FORM)
    if not entries:
        raise InputError(f"{file}: has no queries", hint=_FORM)
    queries: list[EditQuery] = []
    for number, entry in enumerate(entries):
        for asin in (entry.candidate, entry.target):
            if asin is not None and asin not in places:
                raise InputError(
                    f"{file}: query {number}: {asin} is not among the images of the category"
                )
        captions, _ = checker.check(f"query {number}", entry.captions)
        queries.append(
            EditQuery(
                id=f"{category}-{number}",
                reference=places[entry.candidate],
                target=None if entry.target is None else places[entry.target],
                captions=captions,
                category=category,
            )
        )
    return queries
