"""Files of a folder of images: what they hold, and what an image's bytes are called."""

import errno
import hashlib
import posixpath
from dataclasses import dataclass

from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.locators import Locator

_NOT_THERE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    """Where an image lies, and the hash of its bytes."""

    locator: Locator
    sha256: str


def content_of(folder: str, name: str) -> bytes:
    """Return what a file holds.

    Raises:
        InputError: it is not there, or may not be read.
        StageError: its disk or object store fails.
    """
    url = storage.join(folder, name)
    try:
        return storage.read_bytes(url)
    except ValueError as error:
        raise InputError(f"{url!a} is no path: {error}") from error
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise InputError(f"{url} cannot be read: {error.strerror}") from error
        raise StageError(
            f"{url} cannot be read: {error.strerror or error}",
            hint="see that the disk or the object store is well; the same command tries again",
        ) from error


def measured(folder: str, name: str) -> MeasuredImage | None:
    """Return where an image lies, and the hash of its bytes; None where it is not there."""
    try:
        content = content_of(folder, name)
    except InputError:
        return None
    return MeasuredImage(Locator(name, 0, len(content)), hashlib.sha256(content).hexdigest())


def name_inside(folder: str, path: object) -> str | None:
    """Return a path relative to the folder; None for one that leads out of it, or says nothing."""
    if not isinstance(path, str) or not path.strip():
        return None
    within = path.strip().removeprefix("file://")
    base = folder.rstrip("/") + "/"
    name = posixpath.normpath(within.removeprefix(base))
    is_outside = name.startswith(("/", "../")) or name in (".", "..") or "://" in name
    return None if is_outside else name
