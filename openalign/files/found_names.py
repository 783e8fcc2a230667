"""Checks of the names that a folder is found to hold, before anything is made of them."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

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


def otherwise_composed(urls: Iterable[str]) -> str:
    """Say that a file is there whose name looks the same as that of one that is not, or nothing.

    `é` is one character or two, an `e` and an accent; programs of macOS write two. The first of
    such files is named. Only this machine is looked at.
    """
    for url in urls:
        if not storage.is_local(url) or url.isascii():
            continue
        found = _near(storage.local_path(url))
        if found is not None:
            return (
                f"{found} is there, and looks the same, but letters with accents are one character "
                "in one of the names and two in the other; convmv -r -f utf8 -t utf8 --nfc "
                "--notest FOLDER makes them one"
            )
    return ""


def _near(path: Path) -> Path | None:
    """Return what is there under a path whose letters may be composed otherwise."""
    found = Path("/")
    try:
        for part in path.parts[1:]:
            there = found / part
            if not there.exists():
                same = _composed(part)
                there = next(
                    (each for each in _inside(found) if _composed(each.name) == same), there
                )
            found = there
        return found if found.exists() else None
    except OSError:  # a name is too long, or a folder may not be read
        return None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
