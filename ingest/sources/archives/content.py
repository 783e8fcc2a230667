"""The bytes of an archive, wherever it lies."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

from openalign.errors import InputError
from openalign.files import storage
from openalign.ingest.sources.archives.http_stream import HttpReader
from openalign.ingest.sources.archives.tape import ArchiveError, Source


@contextmanager
def opened(url: str, reader: HttpReader) -> Generator[Source]:
    """Yield an archive's bytes; `reader` asks web servers.

    Raises:
        ArchiveError: it cannot be opened; a read raises it too.
    """
    if url.startswith(("http://", "https://")):
        stream = reader.open(url)
        try:
            yield stream
        finally:
            stream.close()
        return
    try:
        file = storage.open_read(url)
    except InputError as error:
        raise ArchiveError("there is no such file") from error
    except Exception as error:
        raise ArchiveError(f"it cannot be opened: {_said(error)}") from error
    with file:
        yield _File(file)


class _File:
    """A file whose errors say that it is the archive that cannot be read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, num_bytes: int, /) -> bytes:
        try:
            return self._file.read(num_bytes)
        except Exception as error:  # every driver has errors of its own
            raise ArchiveError(f"it cannot be read further: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return an error in words without a path."""
    return getattr(error, "strerror", None) or type(error).__name__
