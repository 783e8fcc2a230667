"""What readers of labels have in common."""

from openalign.errors import InputError
from openalign.evaluate.datasets.images import BenchmarkImage, ImageFile
from openalign.files import storage


def labelled_file(root: str, path: str, *, split: str, label: int) -> BenchmarkImage:
    """Return an image that is a file of its own; it is called by its path below `root`."""
    return BenchmarkImage(name=path, split=split, place=ImageFile(root, path), label=label)


def check_number(where: str, number: str, *, first: int, last: int) -> int:
    """Return a class number of a file as an integer; `where` names file and line.

    Raises:
        InputError: it is no number, or none of the classes'.
    """
    digits = number.strip()
    if not (digits.isascii() and digits.isdecimal()) or not first <= int(digits) <= last:
        raise InputError(
            f"{where}: a class must be a number from {first} to {last}, got {digits!r}"
        )
    return int(digits)


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
