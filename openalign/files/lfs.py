"""What Git LFS leaves in the place of a large file: a short text that points to it.

A clone that was made without `git lfs` has it under the file's own name.
"""

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


def hint_about(url: str, otherwise: str) -> str:
    """Return the hint about a file that cannot be read: where it is no pointer, the one given."""
    try:
        is_pointer = storage.read_range(url, 0, len(POINTER)) == POINTER
    except (InputError, OSError):  # the caller has an error to tell
        is_pointer = False
    return f"it is a Git LFS pointer, not the file itself: {_HINT}" if is_pointer else otherwise
