"""What a path in a source's settings stands for: the files below a folder, a pattern's parts."""

import re
from collections.abc import Iterator
from pathlib import Path

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.found_names import check_links

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def files_below(folder: str) -> list[str]:
    """Return the files below a folder, in order, relative to it; links are followed.

    Raises:
        InputError: there is no such folder, or a link leads nowhere or in a circle.
    """
    if not storage.is_local(folder):
        return storage.list_files(folder)
    return sorted(_names_below(storage.local_path(folder), ()))


def is_local_folder(path: str) -> bool:
    """Tell whether a path is a folder of this machine."""
    return storage.is_local(path) and storage.local_path(path).is_dir()


def is_hidden(name: str) -> bool:
    """Tell whether a file, or a folder on the way to it, has a name that begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def ending_of(name: str) -> str:
    """Return what stands behind the last dot of a file's name, in lower case."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot else ""


def with_braces_expanded(pattern: str) -> list[str]:
    """Return the names that a pattern with `{00000..00099}` or `{a,b}` stands for, in order.

    A range whose bound is written with leading zeros keeps that many digits, as in a shell.
    """
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    start, end = found.span()
    return [
        f"{pattern[:start]}{part}{rest}"
        for part in _alternatives(found[1])
        for rest in with_braces_expanded(pattern[end:])
    ]


def _alternatives(inside: str) -> list[str]:
    bounds = _RANGE.fullmatch(inside)
    if bounds is None:
        return inside.split(",")
    first, last = bounds.groups()
    is_padded = any(len(bound) > 1 and bound.startswith("0") for bound in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    step = 1 if int(first) <= int(last) else -1
    return [f"{number:0{width}d}" for number in range(int(first), int(last) + step, step)]


def _names_below(folder: Path, above: tuple[Path, ...]) -> Iterator[str]:
    """Yield the files below a local folder, relative to it."""
    real = folder.resolve()
    if real in above:
        raise InputError(
            f"{folder} is a link that leads back to {real}, which it lies in",
            hint="name the files by a pattern in `harvest.source.path`",
        )
    folders, files = storage.list_folder(str(folder))
    check_links(str(folder), files)
    yield from files
    for name in folders:
        yield from (f"{name}/{file}" for file in _names_below(folder / name, (*above, real)))
