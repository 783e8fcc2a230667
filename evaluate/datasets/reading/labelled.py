"""What readers of labels have in common."""

from collections.abc import Collection, Iterable, Sequence

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.files import storage

TRAIN_SPLITS = ("train", "training", "trainval")
TEST_SPLITS = ("test", "testing", "val", "valid", "validation", "dev")
"""What splits are called, in lower case, the usual name first."""

_MAX_DIGITS = 9
"""Python refuses to read numbers of thousands of digits."""


def labelled_file(root: str, path: str, *, split: str, label: int) -> BenchmarkImage:
    """Return an image that is a file of its own; it is called by its path below `root`."""
    return BenchmarkImage(name=path, split=split, place=ImageFile(root, path), label=label)


def usual_splits(names: Sequence[str]) -> tuple[str, str]:
    """Return the splits that a task is tested on and learns from, of all that a data set has.

    The first of all where none has a usual name.
    """
    by_usual_name = {name.lower(): name for name in names}
    test, train = (
        next((by_usual_name[name] for name in usual if name in by_usual_name), names[0])
        for usual in (TEST_SPLITS, TRAIN_SPLITS)
    )
    return test, train


def check_number(where: str, number: str, *, first: int, last: int) -> int:
    """Return a class number of a file as an integer; `where` names file and line.

    Raises:
        InputError: it is no number, or none of the classes'.
    """
    digits = number.strip()
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    if not is_number or not first <= int(digits) <= last:
        raise InputError(
            f"{where}: a class must be a number from {first} to {last}, got {digits[:80]!r}"
        )
    return int(digits)


def check_names_some(url: str, images: Collection[object]) -> None:
    """Refuse a list of a split that names no image, as a copy that broke off leaves it.

    Raises:
        InputError: names the list.
    """
    if not images:
        raise InputError(f"{url}: names no image", hint="fetch or unpack it anew")


def check_listed_once(root: str, images: Iterable[BenchmarkImage]) -> None:
    """Refuse an image that lists name twice, in one split or in two.

    Raises:
        InputError: names the image.
    """
    seen: dict[str, str] = {}
    for image in images:
        if image.name in seen:
            file, first = storage.join(root, image.name), seen[image.name]
            raise InputError(
                f"{file} is listed twice: in `{first}`, and in `{image.split}`",
                hint="lists name each image once, and splits share none",
            )
        seen[image.name] = image.split


def first_folder_with(root: str, *below: str, holding: str) -> str:
    """Return `root`, or the folder below it that holds a file, as archives unpack to it.

    Raises:
        InputError: neither does; names the places that were looked at.
    """
    places = [root, *(storage.join(root, folder) for folder in below)]
    for place in places:
        if storage.exists(storage.join(place, holding)):
            return place
    raise InputError(
        f"{storage.join(root, holding)} is not there", hint=f"looked in {', '.join(places)}"
    )
