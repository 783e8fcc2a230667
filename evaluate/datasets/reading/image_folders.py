"""Folders of images as people keep them: listed once, without what programs leave behind."""

from collections.abc import Iterable
from dataclasses import dataclass

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.found_names import check_links

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif",
)  # fmt: skip
"""What names of images end in, in lower case."""

_LEFT_BEHIND = "__MACOSX"
"""A folder that macOS puts into zip files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderListing:
    """What is directly inside a folder. Names that begin with a dot are left out."""

    url: str
    folders: list[str]
    images: list[str]
    others: list[str]
    """Files that are no images."""


def list_images(url: str) -> FolderListing:
    """Return what is directly inside a folder, in order.

    Raises:
        InputError: there is no such folder.
    """
    folders, files = storage.list_folder(url)
    shown = [name for name in files if not name.startswith(".")]
    return FolderListing(
        url=url,
        folders=[name for name in folders if not name.startswith(".") and name != _LEFT_BEHIND],
        images=[name for name in shown if name.lower().endswith(IMAGE_SUFFIXES)],
        others=[name for name in shown if not name.lower().endswith(IMAGE_SUFFIXES)],
    )


def list_all_images(url: str) -> FolderListing:
    """Return what is directly inside a folder that is read, not only looked at.

    Raises:
        InputError: there is no such folder, or a link in it leads nowhere. A link that is called
            like an image is an image: it is missing, as one that a list names may be.
    """
    listed = list_images(url)
    check_links(url, listed.others)
    return listed


def in_class_order(names: Iterable[str]) -> list[str]:
    """Return names of class folders in the order of their classes.

    Folders that are all called by numbers come in the order of the numbers, because `10` is the
    class after `9` (ImageNet-V2 has 0 to 999). Others come in the order of their names.
    """
    found = list(names)
    if all(is_number(name) for name in found):
        # By digits: `int` refuses more than 4,300 of them, and a table's cell may hold more.
        digits = {name: name.lstrip("0") for name in found}
        return sorted(found, key=lambda name: (len(digits[name]), digits[name], name))
    return sorted(found)


def is_number(name: str) -> bool:
    """Tell whether a folder is called by a number."""
    return name.isascii() and name.isdecimal()


def some(names: Iterable[str], *, at_most: int = 3) -> str:
    """Return the first names of many, for an error."""
    found = list(names)
    more = f" and {len(found) - at_most} more" if len(found) > at_most else ""
    return ", ".join(found[:at_most]) + more


def list_class_folder(url: str) -> list[str]:
    """Return the names of a class folder's images, in order.

    Raises:
        InputError: it holds none, or folders beside them; says what it holds.
    """
    inside = list_all_images(url)
    if inside.images and inside.folders:
        raise InputError(
            f"{url}: this class folder holds folders beside its images: {some(inside.folders)}",
            hint="images lie directly in their class folder: move those of the folders up, or the "
            "folders elsewhere",
        )
    if inside.images:
        return inside.images
    if inside.folders:
        raise InputError(
            f"{url}: this class folder holds no image, but folders: {some(inside.folders)}",
            hint=f"images lie directly in their class folder; if {some(inside.folders)} are the "
            f"classes, name {url}",
        )
    holds = f"files that are no images: {some(inside.others)}" if inside.others else "nothing"
    raise InputError(
        f"{url}: this class folder holds no image; it holds {holds}",
        hint="remove it, or unpack its images into it",
    )
