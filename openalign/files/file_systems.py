"""Which file system a path or URL is of."""

import re
from typing import Any

import fsspec
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
