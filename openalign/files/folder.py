"""A folder that is read by name: only the files that are asked for, and each of them once.

A remote folder's files are copied to this machine when they are first asked for, so that what is
hashed, what is looked at and what is loaded are the same bytes.
"""

import hashlib
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from openalign.errors import InputError, OpenAlignError
from openalign.files import storage
from openalign.files.lfs import POINTER, refuse_pointer

T = TypeVar("T")

MAX_SMALL_FILE_BYTES = 64 << 20
"""Settings and vocabularies are read whole; a longer file is neither."""

_HINTS = {
    "hf": "see that the name is right (hf://OWNER/NAME, hf://OWNER/NAME@REVISION), that the hub "
    "can be reached (HF_ENDPOINT names another one), and for a private repository that you have "
    "logged in (`hf auth login`)"
}
_HINT = "see that the name, the network and your credentials are right"
_LOCAL_HINT = "see that the name is right, and that you may read it"


@dataclass(frozen=True, slots=True)
class Folder:
    """The files that lie directly in a folder."""

    url: str
    names: frozenset[str]
    _local: Path
    """The folder itself, or the one that copies are put into."""

    is_local: bool
    _used: dict[str, str] = field(default_factory=dict[str, str])
    _stamps: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """What each file was when it was hashed."""

    @property
    def sha256(self) -> dict[str, str]:
        """The hash of each file that was read, by its name, in the order of the first reading."""
        return dict(self._used)

    def url_of(self, name: str) -> str:
        """Return where a file lies, for messages."""
        return storage.join(self.url, name)

    def path(self, name: str) -> Path:
        """Return a file's path on this machine.

        Raises:
            InputError: there is no such file, it cannot be fetched, or is a pointer to it.
        """
        path = self._local / name
        if name in self._used:
            return path
        if name not in self.names:
            raise InputError(f"{self.url_of(name)} cannot be read: there is no such file")
        with reachable(self.url_of(name)):
            if not self.is_local:
                storage.fetch(self.url_of(name), path)
            with path.open("rb") as file:
                refuse_pointer(self.url_of(name), file.read(len(POINTER)))
                file.seek(0)
                self._stamps[name] = _stamp_of(path)
                self._used[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return path

    def check_unchanged(self) -> None:
        """See that what was read after it was hashed is what was hashed.

        Raises:
            InputError: a file was changed or replaced meanwhile, as by a training that goes on.
        """
        for name, stamp in self._stamps.items():
            if _stamp_of(self._local / name) != stamp:
                raise InputError(
                    f"{self.url_of(name)} was changed while it was read",
                    hint="wait until it is whole; the same command reads it again",
                )

    def read(self, name: str) -> bytes:
        """Return a small file: settings, or a vocabulary.

        Raises:
            InputError: there is no such file, it is too long, or it cannot be fetched.
        """
        path = self.path(name)
        num_bytes = path.stat().st_size
        if num_bytes > MAX_SMALL_FILE_BYTES:
            raise InputError(
                f"{self.url_of(name)} has {num_bytes:,} bytes, at most {MAX_SMALL_FILE_BYTES:,} "
                "are read"
            )
        return path.read_bytes()

    def read_json(self, name: str, kind: type[T], *, hint: str | None = None) -> T:
        """Return a JSON file as a typed record; no value is made to fit.

        `hint` says what to do about one of another shape.

        Raises:
            InputError: it is not JSON, or of another shape.
        """
        content = self.read(name)
        try:
            values = msgspec.json.decode(content)
        except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8, or a bomb
            raise InputError(f"{self.url_of(name)} is not JSON: {error}") from error
        return as_record(values, kind, where=self.url_of(name), hint=hint)


def _stamp_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def as_record(values: Any, kind: type[T], *, where: str, hint: str | None = None) -> T:
    """Return decoded JSON as a typed record; no value is made to fit.

    Raises:
        InputError: begins with `where`, and names the key, its value's type and what is allowed.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}", hint=hint) from error


@contextmanager
def opened(url: str) -> Generator[Folder]:
    """Yield a folder, on a path or URL; copies of its files are deleted when the block ends.

    Raises:
        InputError: it is no folder, or cannot be reached; or, when the block ends, a file that was
            read in it is not any more what was hashed.
    """
    with reachable(url):
        names = frozenset(storage.list_names(url))
    if storage.is_local(url):
        if not storage.local_path(url).is_dir():
            raise InputError(f"{url} is a file, a folder is needed")
        folder = Folder(url, names, storage.local_path(url), is_local=True)
        yield folder
        folder.check_unchanged()
        return
    with tempfile.TemporaryDirectory(prefix="openalign-") as copies:
        yield Folder(url, names, Path(copies), is_local=False)


@contextmanager
def reachable(url: str) -> Generator[None]:
    """Turn a driver's error into one that names the URL; every driver has errors of its own.

    Raises:
        InputError: the block failed.
    """
    try:
        yield
    except OpenAlignError:
        raise
    except Exception as error:
        hint = _LOCAL_HINT
        if not storage.is_local(url):
            hint = _HINTS.get(url.partition("://")[0], _HINT)
        raise InputError(f"{url} cannot be read: {_said(error)}", hint=hint) from error


def _said(error: Any) -> str:
    lines = str(error).strip().splitlines() or [""]
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    return f"{name}: {lines[0]}" if lines[0] else name
