"""libcurl's multi interface on epoll, and others' sockets: any number of transfers in a thread."""

import os
import selectors
import time
from collections.abc import Callable
from typing import Any

import pycurl

_shares: dict[int, pycurl.CurlShare] = {}


def process_share() -> pycurl.CurlShare:
    """Return this process's shared cache of TLS sessions."""
    pid = os.getpid()  # a forked child must not use its parent's
    if pid not in _shares:
        share = pycurl.CurlShare()
        share.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_SSL_SESSION)
        _shares[pid] = share
    return _shares[pid]


class Reactor:
    """Runs handles to their end and hands them back with libcurl's error code, 0 for none."""

    def __init__(self, *, max_connections: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._wake_at: float | None = None
        self._multi = pycurl.CurlMulti()
        self.limit(max_connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def limit(self, max_connections: int) -> None:
        """Set how many connections are open at most; idle ones are closed first."""
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, max_connections)

    def add(self, curl: pycurl.Curl) -> None:
        """Start a handle's transfer."""
        self._multi.add_handle(curl)

    def remove(self, curl: pycurl.Curl) -> None:
        """Stop a handle's transfer, or release it when it has ended."""
        self._multi.remove_handle(curl)

    def turn(self, wait_seconds: float) -> list[tuple[pycurl.Curl, int]]:
        """Handle due events, waiting at most this long; return the handles that have ended."""
        if self._wake_at is not None:
            wait_seconds = min(wait_seconds, self._wake_at - time.monotonic())
        for key, events in self._selector.select(max(0.0, wait_seconds)):
            if key.data is not None:
                key.data(key.fd, events)
                continue
            mask = pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0
            mask |= pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            self._multi.socket_action(key.fd, mask)
        if self._wake_at is not None and self._wake_at <= time.monotonic():
            self._wake_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return self._ended()

    def watch(self, descriptor: int, events: int, handle: Callable[[int, int], None]) -> None:
        """Call `handle` with a descriptor and its events from now on; without events, never."""
        self._watch(descriptor, events, handle)

    def close(self) -> None:
        """Close every connection."""
        self._multi.close()
        self._selector.close()

    def _ended(self) -> list[tuple[pycurl.Curl, int]]:
        ended: list[tuple[pycurl.Curl, int]] = []
        remaining = 1
        while remaining:
            remaining, good, bad = self._multi.info_read()
            ended += [(curl, 0) for curl in good]
            ended += [(curl, code) for curl, code, _ in bad]
        for curl, _ in ended:
            self._multi.remove_handle(curl)
        return ended

    def _on_socket(self, what: int, descriptor: int, multi: Any, data: Any) -> None:
        del multi, data
        removes = what == pycurl.POLL_REMOVE
        events = selectors.EVENT_READ if what & pycurl.POLL_IN and not removes else 0
        events |= selectors.EVENT_WRITE if what & pycurl.POLL_OUT and not removes else 0
        self._watch(descriptor, events, None)

    def _watch(
        self, descriptor: int, events: int, handle: Callable[[int, int], None] | None
    ) -> None:
        if not events:
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._selector.unregister(descriptor)
        elif descriptor in self._watched:
            self._selector.modify(descriptor, events, handle)
        else:
            self._watched.add(descriptor)
            self._selector.register(descriptor, events, handle)

    def _on_timer(self, timeout_ms: int) -> None:
        self._wake_at = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000
