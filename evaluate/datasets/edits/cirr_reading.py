"""Reads CIRR: the images of a split by name, and queries that name them.

    image_splits/split.rc2.val.json    {"dev-244-0-img0": "./dev/dev-244-0-img0.png", ...}
    captions/cap.rc2.val.json          [{"pairid": 12, "reference": "dev-244-0-img0",
                                         "target_hard": "dev-83-0-img1", "caption": "...",
                                         "img_set": {"members": [six names]}}, ...]

The queries of `test1` have no target.
"""

from collections.abc import Mapping

import msgspec

from openalign.errors import InputError
from openalign.evaluate.datasets.edits.composed_sets import ComposedDataset, EditQuery
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.evaluate.datasets.reading.folders import (
    check_inside,
    check_unique,
    has_files,
    image_folder_near,
)
from openalign.evaluate.datasets.reading.text import read_json
from openalign.files import storage

_FORM = (
    'CIRR\'s captions are [{"pairid", "reference", "target_hard", "caption", '
    '"img_set": {"members"}}, ...]'
)
_SPLIT_FORM = 'CIRR\'s image splits are {"dev-244-0-img0": "./dev/dev-244-0-img0.png", ...}'
_FOLDERS = ("img_raw", "images")


class _ImageSet(msgspec.Struct, frozen=True):
    members: list[str]


class _CirrQuery(msgspec.Struct, frozen=True):
    pairid: int
    reference: str
    caption: str
    img_set: _ImageSet
    target_hard: str | None = None


_PATHS = msgspec.json.Decoder(dict[str, str])
_QUERIES = msgspec.json.Decoder(list[_CirrQuery])


def read(path: str, *, folder: str, split: str) -> ComposedDataset:
    """Return the images and the queries of a split; `folder` is where the images lie.

    Raises:
        InputError: a file is missing or broken, or a query names an image that is not listed.
    """
    captions_file, split_file = files_of(path, split)
    paths = _image_paths(split_file)
    images = [
        BenchmarkImage(name=name, split=split, place=ImageFile(folder, name))
        for name in paths.values()
    ]
    places = {name: place for place, name in enumerate(paths)}
    entries = read_json(captions_file, _QUERIES, form=_FORM)
    if not entries:
        raise InputError(f"{captions_file}: has no queries", hint=_FORM)
    check_unique(captions_file, (str(entry.pairid) for entry in entries), of="query")
    return ComposedDataset(
        images=images,
        test_split=split,
        queries=[
            _query(f"{captions_file}: query {number}", entry, places)
            for number, entry in enumerate(entries)
        ],
        galleries={"": tuple(range(len(images)))},
    )


def files_of(path: str, split: str) -> tuple[str, str]:
    """Return the file of queries and the file of images."""
    folder = storage.join(path, "cirr") if has_files(path, "cirr/captions") else path
    return (
        storage.join(folder, f"captions/cap.rc2.{split}.json"),
        storage.join(folder, f"image_splits/split.rc2.{split}.json"),
    )


def image_folder(path: str, split: str) -> str:
    """Return the folder below which the split's first image is found."""
    first = next(iter(_image_paths(files_of(path, split)[1]).values()))
    return image_folder_near(storage.join(path, "captions"), first, _FOLDERS)


def is_cirrs(path: str) -> bool:
    """Tell whether a folder holds CIRR's files."""
    return any(
        has_files(path, f"{above}captions/cap.rc2.val.json", f"{above}image_splits")
        for above in ("", "cirr/")
    )


def _image_paths(file: str) -> Mapping[str, str]:
    """Return the path of each image below the folder of images, by its name."""
    found = read_json(file, _PATHS, form=_SPLIT_FORM)
    if not found:
        raise InputError(f"{file}: has no images", hint=_SPLIT_FORM)
    paths = {name: check_inside(f"{file}: `{name}`", path) for name, path in found.items()}
    check_unique(file, paths.values(), of="image")
    return paths


def _query(where: str, entry: _CirrQuery, places: Mapping[str, int]) -> EditQuery:
    def place_of(name: str) -> int:
        if name not in places:
            raise InputError(f"{where}: {name} is not among the split's images")
        return places[name]

    if not entry.caption.strip():
        raise InputError(f"{where}: its caption is blank")
    return EditQuery(
        id=str(entry.pairid),
        reference=place_of(entry.reference),
        target=None if entry.target_hard is None else place_of(entry.target_hard),
        captions=(entry.caption.strip(),),
        group=tuple(place_of(name) for name in entry.img_set.members),
    )
