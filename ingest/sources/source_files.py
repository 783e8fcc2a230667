"""Which files a path in the settings names, and names for them that are the same everywhere."""

from collections.abc import Callable, Sequence
from itertools import chain

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.found_names import check_names
from openalign.ingest.sources.listing import files_below, is_local_folder
from openalign.ingest.sources.paths import Paths, each_of

Choice = Callable[[Sequence[str]], Sequence[str]]
"""Of the names of all files below a folder, returns those that belong to a source."""


def files_named(paths: Paths, choose: Choice, *, called: str) -> list[str]:
    """Return the URLs of what paths name: files, folders, patterns with stars; at least one each.

    Names that begin with a dot or an underscore are left out of folders, and stars do not stand for
    them: the tools that write such folders keep notes of their own there. Links to folders are
    followed. Each file comes once, with its whole path, however it is spelled. `called` says in an
    error what is chosen.

    Raises:
        InputError: nothing is there, a name is not UTF-8, or a link of a folder leads nowhere or in
            a circle.
    """
    named = (_files_named(path, choose, called=called) for path in each_of(paths))
    return list(dict.fromkeys(map(storage.absolute, chain.from_iterable(named))))


def _files_named(path: str, choose: Choice, *, called: str) -> list[str]:
    if path.startswith(("http://", "https://")):
        # Unless it is strict, the driver says of a server that gives no answer that it has no file.
        folder = f"{path.partition('*')[0].rpartition('/')[0]}/"
        storage.check_reachable(folder if "*" in path else path, strict=True)
    if "*" in path:
        matches = _matches(path)
        files = (_files_below(name, choose) if is_folder else [name] for name, is_folder in matches)
        found = list(dict.fromkeys(chain.from_iterable(files)))  # `**` matches folders and files
    else:
        is_file = storage.exists(path) and not is_local_folder(path)
        found = _files_below(path, choose) or (storage.list_glob(path) if is_file else [])
    if not found:
        raise InputError(
            f"{path} names no file",
            hint=f"check `harvest.source.path` and its stars; a folder stands for {called}",
        )
    check_names(path, found)
    return found


def folder_of(paths: Paths, urls: Sequence[str]) -> str:
    """Return what `name_in` leaves out of each file's name: the folder that a path names.

    For a pattern it is the folder before the first star, for a single file the one around it, for
    several paths the innermost that all files lie in.
    """
    first, *others = each_of(paths)
    if others:
        return _common_folder([_without_place(url) for url in urls])
    named, star, _ = first.partition("*")
    folder = named.rpartition("/")[0] if star else named
    base = f"{storage.absolute(folder).rstrip('/')}/" if folder else ""
    if base and all(url.startswith(base) for url in urls):
        return base
    return _common_folder([_without_place(url) for url in urls])


def name_in(folder: str, url: str) -> str:
    """Return a file's name relative to a folder from `folder_of`; it holds no host or port."""
    name = url if folder and url.startswith(folder) else _without_place(url)
    return name.removeprefix(folder)


def _matches(pattern: str) -> list[tuple[str, bool]]:
    """Return what a pattern stands for, in order, and whether it is a folder.

    Notes are left out, unless the pattern spells the beginning of one.
    """
    found = sorted(storage.glob_matches(pattern).items())
    before, slash, _ = pattern.partition("*")[0].rpartition("/")
    folder = before or slash or "."
    if _is_note(pattern.removeprefix(f"{folder}/")):
        return found
    return [match for match in found if not _is_note(storage.relative_to(match[0], folder))]


def _is_note(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _files_below(path: str, choose: Choice) -> list[str]:
    """Return a folder's files, in order; nothing for a file. Web servers list no folders."""
    if path.startswith(("http://", "https://")):
        return []
    is_file = storage.is_local(path) and not is_local_folder(path)
    names = [] if is_file else files_below(path)
    shown = [name for name in names if not _is_note(name)]
    return [storage.join(path, name) for name in choose(shown)]


def _without_place(url: str) -> str:
    """Return a URL without its scheme, host, port and query."""
    is_web = url.startswith(("http://", "https://"))
    return url.partition("?")[0].split("/", 3)[-1] if is_web else url


def _common_folder(paths: Sequence[str]) -> str:
    """Return the innermost folder that all paths lie in, with its slash."""
    first, last = min(paths), max(paths)
    pairs = zip(first, last, strict=False)
    same = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]
