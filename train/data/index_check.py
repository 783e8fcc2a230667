"""Sees, while training goes on, that the files of the training index are what `select` wrote.

Copies of remote files are compared as they are made (`index_copies`). Local files are mapped where
they lie, and hashing them takes minutes at the paper's size. So one thread of rank 0 does it beside
the first steps, and what did not change since is not hashed again. A machine's folder that others
see is the same there.
"""

import threading
from collections.abc import Callable, Sequence

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.file_systems import nothing
from openalign.files.hash_cache import hashes_of
from openalign.train.data.index_copies import IndexFile


class IndexCheck:
    """Hashes the local files of an index from its making on."""

    def __init__(self, files: Sequence[IndexFile], *, cache: str) -> None:
        """Begin; `cache` is the URL of the file that holds what is known of them."""
        self._files = [file for file in files if storage.is_local(file.url)]
        self._cache = cache
        self._failure: Exception | None = None
        self._moved = nothing
        self._thread = threading.Thread(target=self._run, name="index check", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether `finish` is known to raise."""
        return self._failure is not None

    def finish(self, moved: Callable[[], None]) -> None:
        """Wait until all is hashed; nothing that came of the index may be kept before.

        `moved` is called as files are read.

        Raises:
            StageError: a file is not what `select` wrote.
            InputError: a file cannot be read.
        """
        self._moved = moved
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _tell(self) -> None:
        self._moved()

    def _run(self) -> None:
        try:
            urls = [file.url for file in self._files]
            found = hashes_of(urls, cache=self._cache, moved=self._tell)
        except Exception as error:  # noqa: BLE001  # raised by `finish`
            self._failure = error
            return
        damaged = [file for file in self._files if found.get(file.url) != file.sha256]
        if damaged:
            self._failure = _damaged(damaged[0])


def _damaged(file: IndexFile) -> StageError:
    folder = file.url.rpartition("/")[0]
    return StageError(
        f"{file.url} is not what `select` wrote: its sha256 differs",
        hint=f"copy it back from where it is whole; or remove {folder} and run `openalign select` "
        "again, which writes the same and fetches nothing",
    )
