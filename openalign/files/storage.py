"""All reads and writes of files, on local paths and fsspec URLs.

A file appears whole under its name or not at all: local files are written beside their target,
flushed to disk and renamed; object stores commit when the upload ends.
"""

import glob
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from openalign.errors import InputError, StageError
from openalign.files.file_systems import Copying, file_system, nothing

UNFINISHED = ".tmp-"
"""Begins the names of files that are still being written; left behind, they belong to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Size and hash of a finished file."""

    num_bytes: int
    sha256: str


class _Target:
    """A local file that is being filled; `written` is set once it stands under its name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.written: Written | None = None


def check_reachable(folder: str, **options: bool) -> None:
    """Check that a remote folder's file system answers; local folders always pass.

    Raises:
        InputError: the file system does not answer, or refuses access.
    """
    if is_local(folder):
        return
    try:
        exists(folder, **options)
    except Exception as error:  # every driver has errors of its own
        raise InputError(
            f"{folder} cannot be reached: {(str(error) or repr(error)).splitlines()[0]}",
            hint="see that the network, the name and your credentials are right (for gs://: "
            "gcloud auth application-default login; for hf://: hf auth login)",
        ) from error


def join(base: str, *parts: str) -> str:
    """Join path parts onto a folder or URL."""
    assert base, "an empty base would be the root of the file system"
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def relative_to(url: str, folder: str) -> str:
    """Return the path of a file from a folder that it lies in, however their driver spells them.

    That of the folder itself is empty.
    """
    (_, path), (_, base) = file_system(url), file_system(folder)
    if path.rstrip("/") == base.rstrip("/"):
        return ""
    prefix = base.rstrip("/") + "/"
    assert path.startswith(prefix), f"{url} is not below {folder}"
    return path.removeprefix(prefix)


def is_local(url: str) -> bool:
    """Tell whether a URL is a path on this machine."""
    protocol = file_system(url)[0].protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else tuple(protocol))


def local_path(url: str) -> Path:
    """Return a local URL as a path."""
    _, path = file_system(url)
    return Path(path)


def absolute(url: str) -> str:
    """Return a URL that is valid in a process with another current folder."""
    return str(local_path(url)) if is_local(url) else url


def exists(url: str, **options: bool) -> bool:
    """Tell whether a file or folder is there; options are those of the driver."""
    fs, path = file_system(url)
    return bool(fs.exists(path, **options))


def is_folder(url: str) -> bool:
    """Tell whether a folder is there. An object store has one where a name goes on with a slash."""
    fs, path = file_system(url)
    return bool(fs.isdir(path))


@contextmanager
def _to_be_read(url: str) -> Generator[tuple[Any, str]]:
    """Yield the file system behind a file that is to be read, and the path in it.

    Raises:
        InputError: there is no such file, or it is a pipe or a socket, which would be waited for
            without end.
    """
    fs, path = file_system(url)
    if is_local(url):
        with suppress(OSError):
            mode = os.stat(path).st_mode  # noqa: PTH116  # a path object for each of a million
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                raise InputError(f"{url} cannot be read: it is a pipe or a socket, and no file")
    try:
        yield fs, path
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{url} cannot be read: there is no such file") from error


def read_bytes(url: str) -> bytes:
    """Return a whole file.

    Raises:
        InputError: there is no such file, or it is a pipe or a socket.
    """
    with _to_be_read(url) as (fs, path):
        return bytes(fs.cat_file(path))


def read_text(url: str) -> str:
    """Return a whole UTF-8 file."""
    return read_bytes(url).decode()


def read_range(url: str, offset: int, length: int) -> bytes:
    """Return `length` bytes from `offset`, with one read; fewer where the file ends before.

    Raises:
        InputError: there is no such file, or it is a pipe or a socket.
    """
    with _to_be_read(url) as (fs, path):
        return bytes(fs.cat_file(path, start=offset, end=offset + length))


def open_read(url: str) -> IO[bytes]:
    """Open a file for streaming reads.

    Raises:
        InputError: there is no such file, or it is a pipe or a socket.
    """
    with _to_be_read(url) as (fs, path):
        return fs.open(path, "rb")


def size_of(url: str) -> int:
    """Return a file's length in bytes.

    Raises:
        InputError: its server does not tell.
    """
    fs, path = file_system(url)
    if (size := fs.size(path)) is None:
        raise InputError(f"{url}: its server does not tell how long it is")
    return int(size)


def list_files(folder: str, *, suffix: str = "") -> list[str]:
    """Return every file below a folder, in name order, as paths relative to it."""
    fs, path = file_system(folder)
    if not fs.exists(path):
        return []
    found = [str(name) for name in fs.find(path)]
    base = path.rstrip("/") + "/"
    return sorted(
        name[len(base) :] for name in found if name.startswith(base) and name.endswith(suffix)
    )


def list_names(folder: str) -> list[str]:
    """Return the names directly inside a folder, in order."""
    fs, path = file_system(folder)
    return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(path, detail=False))


def list_folder(url: str) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files directly inside a folder, each in order.

    A link counts as what it leads to, or as a file where it leads nowhere; pipes, sockets and
    devices are left out. No file is asked for its size: a million of them are listed in seconds.

    Raises:
        InputError: there is no such folder.
    """
    fs, path = file_system(url)
    folders: list[str] = []
    files: list[str] = []
    try:
        if is_local(url):
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir():
                        folders.append(entry.name)
                    elif entry.is_file() or entry.is_symlink():
                        files.append(entry.name)
        else:
            for entry in fs.ls(path, detail=True):
                name = str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]
                (folders if entry["type"] == "directory" else files).append(name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{url} cannot be listed: there is no such folder") from error
    except PermissionError as error:
        raise InputError(f"{url} cannot be listed: {error.strerror or error}") from error
    return sorted(folders), sorted(files)


def list_details(folder: str) -> dict[str, Mapping[str, Any]]:
    """Return what a file system says of all that is directly inside a folder, by its name."""
    fs, path = file_system(folder)
    listed: list[dict[str, Any]] = fs.ls(path, detail=True)
    return {str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]: entry for entry in listed}


def list_glob(pattern: str) -> list[str]:
    """Return what matches a pattern, in order; without a star, the path itself.

    Only stars have a meaning. On this machine, links to folders are followed.
    """
    fs, path = file_system(pattern)
    if "*" not in path:
        return [path if is_local(pattern) else str(fs.unstrip_protocol(path))]
    return sorted(glob_matches(pattern))


def glob_matches(pattern: str) -> dict[str, bool]:
    """Return what matches a pattern with stars, as `list_glob` does, and whether it is a folder."""
    fs, path = file_system(pattern)
    stars_only = re.sub(r"[?[]", r"[\g<0>]", path)
    if is_local(pattern):
        found = glob.glob(stars_only, recursive=True, include_hidden=True)  # noqa: PTH207  # keeps a path's spelling
        return {name: Path(name).is_dir() for name in found}
    details = fs.glob(stars_only, detail=True)
    return {
        str(fs.unstrip_protocol(name)): entry["type"] == "directory"
        for name, entry in details.items()
    }


@contextmanager
def local_target(url: str) -> Generator[_Target]:
    """Yield a local path to write to; when the block ends well, it becomes `url` in one step."""
    fs, path = file_system(url)
    local = is_local(url)
    if local:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=str(Path(path).parent) if local else None, prefix=UNFINISHED
    )
    os.close(handle)
    target = _Target(name)
    try:
        yield target
        target.written = found_at(name)
        if local:
            sync(name)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        else:
            fs.makedirs(fs._parent(path), exist_ok=True)  # noqa: SLF001  # fsspec has no public name
            fs.put_file(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def remove_unfinished(folder: str) -> None:
    """Delete the leftovers of killed writers below a folder. No process may be writing there."""
    for name in list_files(folder):
        if name.rsplit("/", 1)[-1].startswith(UNFINISHED):
            remove(join(folder, name))


def write_bytes(url: str, content: bytes) -> Written:
    """Write a whole file in one step."""
    with local_target(url) as target:
        Path(target.path).write_bytes(content)
    assert target.written is not None
    return target.written


def write_text(url: str, text: str) -> Written:
    """Write a whole UTF-8 file in one step."""
    return write_bytes(url, text.encode())


def remove(url: str) -> None:
    """Delete a file, or a folder with its content; do nothing if it does not exist."""
    fs, path = file_system(url)
    if fs.exists(path):
        fs.rm(path, recursive=True)


def move(source: str, target: str, *, last: tuple[str, ...] = ()) -> None:
    """Rename a folder. On an object store its files are copied one by one, those in `last` last."""
    if is_local(source):
        local_path(source).rename(local_path(target))
        return
    fs, _ = file_system(source)
    for name in sorted(
        list_files(source), key=lambda name: (last.index(name) + 1 if name in last else 0, name)
    ):
        _, old = file_system(join(source, name))
        _, new = file_system(join(target, name))
        fs.makedirs(fs._parent(new), exist_ok=True)  # noqa: SLF001  # fsspec has no public name
        fs.mv(old, new)


def move_file(source: str, target: str) -> None:
    """Rename a file; what has its new name is replaced."""
    if is_local(source):
        local_path(source).replace(local_path(target))
        return
    fs, old = file_system(source)
    fs.mv(old, file_system(target)[1])


def check_writable(folder: str) -> None:
    """Write and delete a probe file.

    Raises:
        StageError: the folder cannot be written.
    """
    probe = join(folder, ".openalign-probe")
    try:
        write_bytes(probe, b"")
        remove(probe)
    except (OSError, ValueError, ImportError) as error:
        raise StageError(
            f"{folder} cannot be written: {error}",
            hint="choose another place with `--set root=PATH`, or mend its permissions",
        ) from error


@contextmanager
def local_copy(url: str) -> Generator[Path]:
    """Yield a path on this machine that holds a file's bytes, so that it can be memory-mapped."""
    if is_local(url):
        yield local_path(url)
        return
    with tempfile.TemporaryDirectory(prefix="openalign-") as folder:
        path = Path(folder) / "copy"
        with open_read(url) as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        yield path


def fetch(url: str, path: Path, *, moved: Callable[[], None] = nothing) -> None:
    """Copy a file to this machine; errors are the driver's own. `moved` is called now and then."""
    fs, source = file_system(url)
    fs.get_file(source, str(path), callback=Copying(moved))


def put(path: Path, url: str, *, moved: Callable[[], None] = nothing) -> None:
    """Copy a file of this machine; errors are the driver's own. `moved` is called now and then."""
    fs, target = file_system(url)
    fs.makedirs(fs._parent(target), exist_ok=True)  # noqa: SLF001  # fsspec has no public name
    fs.put_file(str(path), target, callback=Copying(moved))


def found_at(url: str, *, moved: Callable[[], None] = nothing) -> Written:
    """Return size and hash of a file that another library wrote; `moved` is called now and then."""
    digest = hashlib.sha256()
    num_bytes = 0
    with open_read(url) as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
            num_bytes += len(piece)
            moved()
    return Written(num_bytes=num_bytes, sha256=digest.hexdigest())


def sha256_of(url: str) -> str:
    """Return a file's sha256 in hex, reading it in pieces."""
    return found_at(url).sha256


def sync(path: str) -> None:
    """Flush a file of this machine to disk, or a folder's own entries: the names of its files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
