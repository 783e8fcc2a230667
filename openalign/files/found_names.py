"""Checks of the names that a folder is found to hold, before anything is made of them."""

from collections.abc import Iterable

from openalign.errors import InputError
from openalign.files import storage


def check_links(folder: str, names: Iterable[str]) -> None:
    """Check that links in a folder of this machine lead somewhere; other folders always pass.

    Raises:
        InputError: one of them leads nowhere, as a link to a disk that is not mounted does.
    """
    if not storage.is_local(folder):
        return
    for path in (storage.local_path(folder) / name for name in names):
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{path} is a link that leads nowhere",
                hint="mend it or remove it: what it stood for would be missing",
            )


def check_names(folder: str, names: Iterable[str]) -> None:
    """Check that names in a folder are text: tables and JSON cannot hold others.

    Raises:
        InputError: one of them is not UTF-8.
    """
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{folder} holds a file whose name is not UTF-8: {name!a}",
                hint="rename it, for example with convmv",
            ) from error


def check_paths(paths: Iterable[str]) -> None:
    """Check that paths are text, as `check_names` does each of their parts.

    Raises:
        InputError: one of them is not UTF-8.
    """
    for path in paths:
        if not path.isascii():
            parts = path.split("/")
            for number, part in enumerate(parts):
                check_names("/".join(parts[:number]) or ".", [part])
