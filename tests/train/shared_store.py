"""A store that several machines see: folders of this machine behind a URL, as a driver has them."""

from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

PREFIX = "shared://"


class SharedStore(LocalFileSystem):
    """`shared:///folder`: to OpenALIGN it is no local path."""

    protocol: Any = "shared"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        bare = [
            str(one).removeprefix(PREFIX) for one in (path if isinstance(path, list) else [path])
        ]
        stripped = [LocalFileSystem._strip_protocol(one) for one in bare]
        return stripped if isinstance(path, list) else stripped[0]


def see_shared_store() -> None:
    """Make `shared://` known to this process."""
    fsspec.register_implementation("shared", SharedStore, clobber=True)
