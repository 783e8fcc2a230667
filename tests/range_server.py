"""A web server on the loopback that answers ranges of files and counts what it is asked for."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class RangeServer(ThreadingHTTPServer):
    """Serves the files of a folder."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[str] = []
        """Path and range of each request that was answered with bytes."""

        self.failures_left = 0
        self.knows_ranges = True
        self.most_at_once = 0
        self.hold: threading.Barrier | None = None
        self._now = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Of the folder."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def entered(self, by: int) -> None:
        """Count the requests that are under way."""
        with self._lock:
            self._now += by
            self.most_at_once = max(self.most_at_once, self._now)


class _Handler(BaseHTTPRequestHandler):
    server: RangeServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.entered(1)
        try:
            self._answer()
        finally:
            self.server.entered(-1)

    def do_HEAD(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def _answer(self) -> None:
        server = self.server
        path, wanted = server.folder / self.path.lstrip("/"), self.headers.get("Range", "")
        if server.hold is not None:
            server.hold.wait()
        if server.failures_left:
            server.failures_left -= 1
            self.send_error(503)
            return
        if not path.is_file():
            self.send_error(404)
            return
        content, status = path.read_bytes(), 200
        if wanted and server.knows_ranges:
            start, stop = wanted.removeprefix("bytes=").split("-")
            content, status = content[int(start) : int(stop) + 1], 206
        server.asked.append(f"{self.path} {wanted}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


@contextmanager
def range_server(folder: Path) -> Generator[RangeServer]:
    """Serve a folder while the block runs."""
    server = RangeServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
