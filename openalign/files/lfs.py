"""What Git LFS leaves in the place of a large file: a short text that points to it.

A clone that was made without `git lfs` has it under the file's own name.
"""

from contextlib import suppress

from openalign.errors import InputError
from openalign.files import storage

POINTER = b"version https://git-lfs.github.com/spec/v1"
"""What it begins with."""

_HINT = "run `git lfs install` and `git lfs pull` in the clone that it lies in"


def refuse_pointer(url: str, content: bytes) -> None:
    """See that a file is itself there, by its first bytes.

    Raises:
        InputError: it is a pointer.
    """
    if content.startswith(POINTER):
        raise InputError(f"{url} is a Git LFS pointer, not the file itself", hint=_HINT)


def start_of(url: str) -> bytes:
    """Return the first bytes of a file, as many as tell a pointer; none where it cannot be read."""
    with suppress(Exception):  # every driver has errors of its own; who reads all of it tells them
        return storage.read_range(url, 0, len(POINTER))
    return b""


def hint_about(url: str, otherwise: str) -> str:
    """Return the hint about a file that cannot be read: where it is no pointer, the one given."""
    is_pointer = start_of(url) == POINTER
    return f"it is a Git LFS pointer, not the file itself: {_HINT}" if is_pointer else otherwise
