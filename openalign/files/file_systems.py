"""Which file system a path or URL is of."""

import re
from collections.abc import Callable
from typing import Any

import fsspec
from fsspec.callbacks import Callback
from fsspec.core import url_to_fs

from openalign.errors import InputError

_SCHEME = r"[a-z][a-z0-9+.-]*"
_URL = re.compile(rf"(?!(?:file|local)://)(?:{_SCHEME}::)*{_SCHEME}://", re.IGNORECASE)
"""How URLs of other machines begin, chained ones of fsspec (`simplecache::s3://b/x`) among them."""


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system behind a path or URL, and the path in it.

    What begins as no URL is a path on this machine, `::` in names included, which fsspec takes for
    a chain.

    Raises:
        InputError: the driver is not installed, or does not exist.
    """
    if not _URL.match(url):
        local: Any = fsspec.filesystem("file")
        return local, local._strip_protocol(url)  # noqa: SLF001  # fsspec has no public name
    try:
        return url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{url} cannot be reached: {error}",
            hint="drivers are installed separately: pip install s3fs, gcsfs or aiohttp",
        ) from error
    except OSError as error:
        raise InputError(
            f"{url} cannot be reached: {error}",
            hint="its driver is there and cannot start; for hdfs:// it needs Java's libjvm and "
            "Hadoop's CLASSPATH",
        ) from error


def nothing() -> None:
    """Do nothing with the news that a piece of a file has been read or written."""


class Copying(Callback):
    """Tells `moved` of each piece that a driver has copied."""

    def __init__(self, moved: Callable[[], None]) -> None:
        super().__init__()
        self._moved = moved

    def call(self, *_: Any, **__: Any) -> None:
        """Take the driver's news."""
        self._moved()
