"""The sockets that libcurl connects with: none is opened to an address that may not be reached."""

import os
import socket
from collections.abc import Sequence
from typing import Any

import pycurl

from openalign.ingest.web.addresses import Network, is_allowed


class Sockets:
    """Opens the sockets of one transfer after another, and remembers what came of it."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._judges_addresses = True
        self.refused_address: str | None = None
        """The last address that may not be reached."""

        self.tried_address: str | None = None
        """The last address that a socket was opened for."""

        self.error_number = 0
        """Why no socket was opened; 0 when one was opened or none was needed."""

    def reset(self, *, judges_addresses: bool) -> None:
        """Begin another transfer; the addresses of a proxy are not judged."""
        self._judges_addresses = judges_addresses
        self.refused_address = self.tried_address = None
        self.error_number = 0

    def open(self, purpose: int, address: Any) -> Any:
        """Return a socket for an address, or `SOCKET_BAD`: libcurl's OPENSOCKETFUNCTION."""
        del purpose
        family, kind, protocol, where = address
        if family not in (socket.AF_INET, socket.AF_INET6):
            return pycurl.SOCKET_BAD
        if self._judges_addresses and not is_allowed(where[0], self._allowed):
            self.refused_address = where[0]
            return pycurl.SOCKET_BAD
        self.tried_address = where[0]
        try:
            opened = socket.socket(family, kind, protocol)
            os.close(os.dup(opened.fileno()))  # pycurl duplicates it too, and hides a failure
        except OSError as error:
            self.error_number = error.errno or 0
            return pycurl.SOCKET_BAD
        return _Socket(opened)


class _Socket:
    """A socket for libcurl, which duplicates its descriptor and then drops it."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def fileno(self) -> int:
        return self._inner.fileno()

    def __del__(self) -> None:
        self._inner.close()
