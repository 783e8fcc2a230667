"""Paths in a source's settings: one, or a list of several, each with stars as it likes."""

import os
import re
from itertools import takewhile

Paths = str | tuple[str, ...]


def each_of(paths: Paths) -> tuple[str, ...]:
    """Return the paths that a setting holds."""
    return (paths,) if isinstance(paths, str) else paths


def in_words(paths: Paths) -> str:
    """Return the paths as an error names them."""
    return ", ".join(each_of(paths))


def fixed_folder(path: str, *, is_file: bool) -> str:
    """Return the folder that everything lies in which a path stands for, as its spelling tells.

    A path without a star or brace is a folder itself, unless it `is_file`.
    """
    before, *pattern = re.split(r"[*{]", path, maxsplit=1)
    if not pattern and not is_file:
        return path.rstrip("/") or "/"
    folder, slash, _ = before.rpartition("/")
    return folder or slash or "."


def common_folder(folders: tuple[str, ...]) -> str:
    """Return the innermost folder that all folders are or lie in.

    Raises:
        ValueError: they lie in different stores.
    """
    if len(set(folders)) == 1:
        return folders[0]
    # A Path would take the second slash of a URL's scheme.
    whole = [folder if "://" in folder else os.path.abspath(folder) for folder in folders]  # noqa: PTH100
    levels = zip(*(folder.split("/") for folder in whole), strict=False)
    shared = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels)]
    if not shared or "".join(shared).endswith(":"):
        raise ValueError(f"path must name files of one store, got {in_words(folders)}")
    return "/".join(shared) or "/"
