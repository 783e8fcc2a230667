"""A small web on loopback that does what the real one does, and refuses in as many ways."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openalign.ingest.web.config import WebConfig

HOST = "pictures.example"
SITE = f"http://{HOST}"


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    length: int | None = None
    """Content-Length, where it is a lie."""

    before_seconds: float = 0.0
    pause_at: int = 0
    """Bytes of the body after which a moment passes, so that they arrive alone."""

    a_byte_a_second: bool = False
    hang_up: bool = False
    """Close the connection without a word."""


Route = Reply | list[Reply] | Callable[[BaseHTTPRequestHandler], Reply]


@dataclass
class Web:
    routes: dict[str, Route] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)
    most_at_once: int = 0
    at_once: int = 0
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply_to(self, handler: BaseHTTPRequestHandler) -> Reply:
        with self.lock:
            self.asked[handler.path] += 1
            self.times.setdefault(handler.path, []).append(time.monotonic())
            self.agents.add(handler.headers.get("User-Agent", ""))
            route = self.routes.get(f"{handler.headers['Host']}{handler.path}")
            route = route or self.routes.get(handler.path, Reply(status=404))
            if isinstance(route, list):
                return route[min(self.asked[handler.path], len(route)) - 1]
        return route if isinstance(route, Reply) else route(handler)

    def download(self, **changes: Any) -> WebConfig:
        """Return settings that reach this web under public names, and that end soon.

        Of the files of rules they ask for robots.txt alone.
        """
        hosts = (HOST, "other.example", "third.example")
        settings: dict[str, Any] = {
            "contact": "test@example.org",
            "requests_per_second": 10_000.0,
            "connections_per_host": 8,
            "allowed_networks": ("127.0.0.0/8",),
            "connect_to": dict.fromkeys(hosts, self.address),
            "retry_seconds": 0.01,
            "ask_tdmrep": False,
        }
        return WebConfig(**(settings | changes))


@contextmanager
def serve(routes: Mapping[str, Route]) -> Generator[Web]:
    web = Web(routes=dict(routes))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            with web.lock:
                web.at_once += 1
                web.most_at_once = max(web.most_at_once, web.at_once)
            reply = web.reply_to(self)
            time.sleep(reply.before_seconds)
            with web.lock:  # a client that has its answer may ask again at once
                web.at_once -= 1
            try:
                _answer(self, reply)
            except OSError:  # the client was the first to go
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # or a burst of connections waits a second

        def handle_error(self, request: Any, client_address: Any) -> None: ...

    server = Server(("127.0.0.1", 0), Handler)
    web.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    if reply.hang_up:
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    for name, value in reply.headers:
        handler.send_header(name, value)
    length = len(reply.body) if reply.length is None else reply.length
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    if reply.a_byte_a_second:
        for number in range(len(reply.body)):
            handler.wfile.write(reply.body[number : number + 1])
            time.sleep(1)
        return
    if reply.pause_at:
        handler.wfile.write(reply.body[: reply.pause_at])
        time.sleep(0.1)
    handler.wfile.write(reply.body[reply.pause_at :])
    handler.close_connection |= length != len(reply.body)
