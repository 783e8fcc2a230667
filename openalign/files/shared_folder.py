"""Reads and writes in a folder that other machines write to meanwhile."""

import errno
from pathlib import Path
from uuid import uuid4

from openalign.files import storage
from openalign.files.file_systems import file_system

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)


def create(url: str, content: bytes) -> bool:
    """Write a whole file where there is none; return False where there is one.

    Of several who create a file at once one succeeds, on local file systems and in stores whose
    driver sends the condition along (s3fs, gcsfs, adlfs). Other drivers look first, then write.
    """
    fs, path = file_system(url)
    try:
        if storage.is_local(url):
            _create_local(Path(path), content)
        else:
            fs.makedirs(fs._parent(path), exist_ok=True)  # noqa: SLF001  # fsspec has no public name
            fs.pipe_file(path, content, mode="create")
    except FileExistsError:
        return False
    return True


def _create_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        storage.sync(str(unfinished))
        try:
            path.hardlink_to(unfinished)  # unlike a rename, it fails where there is a file
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with path.open("xb") as sink:
                sink.write(content)
    finally:
        unfinished.unlink(missing_ok=True)


def read_if_there(url: str) -> bytes | None:
    """Return a whole file as it is now, or None where there is none."""
    fs, path = file_system(url)
    try:
        return bytes(fs.cat_file(path))
    except FileNotFoundError:
        return None


def list_now(folder: str) -> list[str]:
    """Return the names directly inside a folder as it is now, or none where there is no folder."""
    fs, path = file_system(folder)
    fs.invalidate_cache(path)  # drivers keep listings, and know nothing of other machines' files
    try:
        return storage.list_names(folder)
    except FileNotFoundError:
        return []
