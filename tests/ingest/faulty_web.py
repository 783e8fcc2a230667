"""A small web on loopback that does what the real one does, and refuses in as many ways."""

import ssl
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from openalign.hostile_web.replies import Reply
from openalign.hostile_web.server import ServedWeb, served
from openalign.ingest.web.config import WebConfig

__all__ = ["HOST", "SITE", "Reply", "Route", "Web", "serve"]

HOST = "pictures.example"
SITE = f"http://{HOST}"

Route = Reply | list[Reply] | Callable[[BaseHTTPRequestHandler], Reply]


@dataclass(kw_only=True)
class Web(ServedWeb):
    routes: dict[str, Route] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)
    address: str = ""

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
def serve(routes: Mapping[str, Route], *, tls: ssl.SSLContext | None = None) -> Generator[Web]:
    web = Web(routes=dict(routes))
    with served(web, tls=tls) as web.address:
        yield web
