"""Remote files on this machine's disk, where its processes can map them.

Whichever process comes first copies a file, under a name that is its sha256, and the others wait
for it. A copy stays for later runs, and goes when none has used it for a week. Who has mapped it
keeps it.
"""

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.locks import locked

_FOLDER = f"openalign-copies-{os.getuid()}"
"""In the temporary directory; other users could not write to it."""

_PATIENCE_SECONDS = 7 * 24 * 3600.0
_KEPT_SECONDS = 7 * 24 * 3600.0


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a stage wrote, as it was when it was written."""

    url: str
    num_bytes: int
    sha256: str


def path_here(file: WrittenFile, *, stage: str, folder: Path | None = None) -> Path:
    """Return where a file of a stage can be mapped: where it lies, or its copy in `folder`.

    That is a folder of the machine's temporary directory if None.

    Raises:
        StageError: the file is not what the stage wrote, or there is no room for a copy.
    """
    if storage.is_local(file.url):
        return _local(file, stage)
    folder = folder or Path(tempfile.gettempdir()) / _FOLDER
    path = folder / file.sha256
    busy = f"another process copies {file.url}"
    with locked(f"{path}.lock", busy=busy, patience_seconds=_PATIENCE_SECONDS):
        try:
            os.utime(path)  # from now on nobody takes it for an old one
        except FileNotFoundError:
            _remove_old(folder)
            _require_room(file, folder)
            with storage.local_target(str(path)) as target:
                _copy(file, Path(target.path), stage)
    return path


def _local(file: WrittenFile, stage: str) -> Path:
    path = storage.local_path(file.url)
    found = path.stat().st_size if path.exists() else None
    if found != file.num_bytes:
        raise StageError(
            f"{file.url} has {'no' if found is None else f'{found:,}'} bytes, and `{stage}` wrote "
            f"{file.num_bytes:,}",
            hint=_again(stage),
        )
    return path


def _copy(file: WrittenFile, path: Path, stage: str) -> None:
    storage.fetch(file.url, path)
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        raise StageError(
            f"{file.url} is not what `{stage}` wrote: its sha256 differs", hint=_again(stage)
        )


def _again(stage: str) -> str:
    return f"run `openalign {stage}` again"


def _remove_old(folder: Path) -> None:
    for path in folder.glob("?" * 64):
        with suppress(FileNotFoundError):  # another process was faster
            if path.stat().st_mtime < time.time() - _KEPT_SECONDS:
                path.unlink()


def _require_room(file: WrittenFile, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < file.num_bytes:
        raise StageError(
            f"{folder} has room for {free:,} bytes, and the copy of {file.url} takes "
            f"{file.num_bytes:,}",
            hint="TMPDIR names another folder for copies",
        )
