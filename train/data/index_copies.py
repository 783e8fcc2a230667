"""The files of the training index on this machine, where ranks can map them.

Files of a local root are mapped where they lie. Those of an object store are copied once a machine,
by whichever rank comes first, under names that are their sha256: a later run finds them there.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.locks import locked

_CACHE = f"openalign-index-{os.getuid()}"
"""In the temporary directory; other users could not write to it."""

_PATIENCE_SECONDS = 7 * 24 * 3600.0
_HINT = "run `openalign select` again"


class IndexFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the training index, as the manifest of `select` has it."""

    url: str
    num_bytes: int
    sha256: str


def paths_on_this_machine(files: Sequence[IndexFile], *, cache: Path | None = None) -> list[Path]:
    """Return where each file lies on this machine; copies are made in `cache`.

    It is a folder of the machine's temporary directory if None.

    Raises:
        StageError: a file is not what `select` wrote, or there is no room for a copy.
    """
    folder = cache or Path(tempfile.gettempdir()) / _CACHE
    return [_local(file) if storage.is_local(file.url) else _copied(file, folder) for file in files]


def _local(file: IndexFile) -> Path:
    path = storage.local_path(file.url)
    found = path.stat().st_size if path.exists() else None
    if found != file.num_bytes:
        raise StageError(
            f"{file.url} has {'no' if found is None else f'{found:,}'} bytes, and `select` wrote "
            f"{file.num_bytes:,}",
            hint=_HINT,
        )
    return path


def _copied(file: IndexFile, folder: Path) -> Path:
    path = folder / f"{file.sha256}.arrow"
    lock = str(folder / f"{file.sha256}.lock")
    busy = f"another process copies {file.url}"
    with locked(lock, busy=busy, patience_seconds=_PATIENCE_SECONDS):
        if not path.exists():
            _require_room(file, folder)
            with storage.local_target(str(path)) as target:
                _copy(file, Path(target.path))
    return path


def _copy(file: IndexFile, path: Path) -> None:
    storage.fetch(file.url, path)
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        raise StageError(f"{file.url} is not what `select` wrote: its sha256 differs", hint=_HINT)


def _require_room(file: IndexFile, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < file.num_bytes:
        raise StageError(
            f"{folder} has room for {free:,} bytes, and the copy of {file.url} takes "
            f"{file.num_bytes:,}",
            hint="TMPDIR names another folder for copies",
        )
