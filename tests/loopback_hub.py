"""A model hub on this machine: the few requests with which `hf://` lists and reads a repository."""

import json
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REPOSITORY = "owner/model"


@dataclass
class Hub:
    """A running hub that has one repository, the files of a folder."""

    environment: dict[str, str]
    """What a process needs in its environment to ask this hub."""

    fetched: list[str] = field(default_factory=list[str])
    """The names of the files that were asked for, in order."""


@contextmanager
def serving(folder: Path, home: Path) -> Generator[Hub]:
    """Serve a folder as `hf://owner/model`; `home` is an empty folder for its client."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    hub = Hub({**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)})
    server.hub, server.folder = hub, folder  # pyright: ignore[reportAttributeAccessIssue]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        name = path.rpartition("/")[2]
        if path == f"/api/models/{REPOSITORY}":
            self._answer(200, json.dumps({"id": REPOSITORY, "sha": "1" * 40}).encode())
        elif path == f"/api/models/{REPOSITORY}/tree/main":
            entries = [
                {"type": "file", "oid": "0" * 40, "size": file.stat().st_size, "path": file.name}
                for file in self.server.folder.iterdir()
            ]
            self._answer(200, json.dumps(entries).encode())
        elif path == f"/{REPOSITORY}/resolve/main/{name}":
            self.server.hub.fetched.append(name)
            self._answer(200, (self.server.folder / name).read_bytes())
        else:
            self._answer(404, b"{}")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Print nothing."""
