"""A small web server on loopback, a thread a connection, that gives the answers it is told."""

import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openalign.hostile_web.replies import Reply, wait_until_left, write_reply

LOOPBACK = "127.0.0.1"


@dataclass(kw_only=True)
class ServedWeb(ABC):
    """What a server answers, and what it was asked. Its threads share the counts under `lock`."""

    asked: Counter[str] = field(default_factory=Counter[str])
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @abstractmethod
    def reply_to(self, handler: BaseHTTPRequestHandler) -> Reply:
        """Return the answer to a request."""

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Count a request as under way while the block runs."""
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self.lock:
                self.at_once -= 1


class _FaultHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    num_answers = 0
    """Those of its one connection."""

    def handle(self) -> None:
        try:
            if _server_of(self).is_silent:
                wait_until_left(self)
            else:
                super().handle()
        except OSError:  # the client was the first to go
            self.close_connection = True

    def do_GET(self) -> None:
        web = _server_of(self).web
        with web.under_way():  # a client that has its answer may ask again at once
            reply = web.reply_to(self)
            time.sleep(reply.before_seconds)
        if reply.once_a_connection and self.num_answers:
            reply = replace(reply, hang_up=True)
        self.num_answers += 1
        write_reply(self, reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing: a line a request would drown what the client says."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # or a burst of connections waits a second

    def __init__(
        self, web: ServedWeb, *, port: int, tls: ssl.SSLContext | None, is_silent: bool
    ) -> None:
        super().__init__((LOOPBACK, port), _FaultHandler)
        self.web = web
        self.is_silent = is_silent
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread: a bad handshake holds up nobody."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        with self._tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that goes in the middle of a handshake."""


def _server_of(handler: BaseHTTPRequestHandler) -> _Server:
    assert isinstance(handler.server, _Server), "handlers are made by a server of this module"
    return handler.server


@contextmanager
def served(
    web: ServedWeb, *, port: int = 0, tls: ssl.SSLContext | None = None, is_silent: bool = False
) -> Generator[str]:
    """Serve a web while the block runs; yield where, as `address:port`.

    With `is_silent` connections are taken, and nothing is ever said.

    Raises:
        OSError: the port cannot be had.
    """
    server = _Server(web, port=port, tls=tls, is_silent=is_silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
