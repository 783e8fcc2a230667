"""What is damage of a checkpoint, and what is a fault on the way to it.

A file is damaged that is not there, holds other bytes, or whose disk cannot give them back, however
often it is asked. Any other error, as of a server that is away for a moment, tells nothing of the
file. It is read again, and the run ends if that does not help: a run that went on from an older
checkpoint would remove the newest one.
"""

import errno
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from openalign.errors import InputError, StageError
from openalign.files import shared_folder, storage
from openalign.files.remote_reads import tried_again

T = TypeVar("T")


_OF_DISKS = frozenset({"EIO", "EBADMSG", "ENODATA", "EUCLEAN"})
"""What file systems say of blocks that cannot be read, or do not have their checksum. Drivers of
stores call errors by the first that they have no other for."""


class DamagedError(Exception):
    """A checkpoint cannot be used; the message says which file is at fault, and why."""


def read_or_damaged(url: str, read: Callable[[], T]) -> T:
    """Return what `read` makes of a file of a checkpoint.

    Raises:
        DamagedError: it is not there, or its disk cannot give its bytes back.
        StageError: it cannot be reached, several times in a row.
    """
    name = url.rpartition("/")[2]

    def read_once() -> T:
        try:
            return read()
        except (InputError, FileNotFoundError, NotADirectoryError) as error:
            raise DamagedError(f"{name} is missing") from error

    try:
        return tried_again(url, read_once, "its bytes", final=DamagedError)
    except StageError as error:
        if _is_of_disk(error.__cause__) and storage.is_local(url):
            raise DamagedError(f"{name} cannot be read: {error.__cause__}") from error
        raise StageError(str(error), hint=f"the checkpoint stays; {error.hint}") from error


def _is_of_disk(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and errno.errorcode.get(error.errno or 0) in _OF_DISKS


def is_there(url: str) -> bool:
    """Tell whether a small file of a checkpoint is there.

    Raises:
        StageError: nobody can tell, several times in a row.
    """
    return tried_again(url, partial(shared_folder.read_if_there, url), "its bytes") is not None
