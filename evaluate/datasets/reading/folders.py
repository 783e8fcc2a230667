"""Where a data set's files lie: looked at cheaply, to recognize a form and to find its images."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from openalign.errors import InputError
from openalign.files import storage

_GLANCE = 1 << 16
_SPLIT = re.compile(r"(?<![a-z])(train|val|validation|dev|test)(?=images|[^a-z])")
"""A word of a file's name; Flickr8K's lists are called `Flickr_8k.testImages.txt`."""


def glance(path: str) -> str:
    """Return the beginning and the end of a file as text; empty where there is no file.

    For telling forms apart: it reads little and raises nothing.
    """
    try:
        size = storage.size_of(path)
        head = storage.read_range(path, 0, min(size, _GLANCE))
        tail_at = max(len(head), size - _GLANCE)
        tail = storage.read_range(path, tail_at, size - tail_at) if tail_at < size else b""
    except Exception:  # noqa: BLE001  # every driver has errors of its own; reading will tell
        return ""
    return (head + tail).decode(errors="replace").removeprefix("\ufeff")


def only_file(path: str, *patterns: str) -> str:
    """Return the file that a path names: itself, or the one file in the folder of such a name.

    Empty where there is no such file, or several. It raises nothing.
    """
    try:
        if not storage.is_folder(path):
            return path
        names = storage.list_names(path)
    except Exception:  # noqa: BLE001  # as above
        return ""
    found = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    return storage.join(path, found[0]) if len(found) == 1 else ""


def has_files(folder: str, *names: str) -> bool:
    """Tell whether a folder holds these files or folders. It raises nothing."""
    try:
        return all(storage.exists(storage.join(folder, name)) for name in names)
    except Exception:  # noqa: BLE001  # as above
        return False


def folder_of(file: str) -> str:
    """Return the folder that a file lies in."""
    return file.rpartition("/")[0] or "."


def image_folder_near(file: str, image: str, names: Sequence[str]) -> str:
    """Return the folder that holds an image: a file's own, or one of these below or beside it.

    The file's own folder where none of them does, so that an error names the plain place.
    """
    own = folder_of(file)
    beside = own.rpartition("/")[0]
    places = [own, *(storage.join(own, name) for name in names)]
    if beside and not beside.endswith("/"):  # no folder lies beside a bucket
        places += [storage.join(beside, name) for name in names]
    held = (place for place in places if image and has_files(place, image))
    return next(held, own)


def split_of(file: str, *, otherwise: str = "test") -> str:
    """Return the split that a file's name tells of, such as `val` for `captions_val2017.json`."""
    found = _SPLIT.search(file.rpartition("/")[2].lower())
    return found[1] if found else otherwise


def check_inside(where: str, path: str) -> str:
    """Return the path of an image below the folder of images, without `./` before it.

    Raises:
        InputError: it is empty, or leads out of the folder; begins with `where`.
    """
    parts = [part for part in path.split("/") if part != "."]
    if not path.strip() or ".." in parts or any(ord(letter) < ord(" ") for letter in path):
        raise InputError(f"{where} must stay inside the folder of images, got {path!r}")
    return "/".join(parts)


def check_unique(file: str, names: Iterable[str], *, of: str, hint: str | None = None) -> None:
    """Refuse a name that two entries of a file have; `of` is what an entry is called.

    Raises:
        InputError: names both entries.
    """
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if first.setdefault(name, number) != number:
            raise InputError(f"{file}: {of} {number}: {name} is {of} {first[name]} too", hint=hint)
