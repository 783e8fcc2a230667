"""Serve a folder as a web site on a free loopback port, in a process of its own.

    with serve("runs/demo/site/www", host="openmoji.example") as connect_to: ...

`connect_to` maps the site's public host to the port, as curl's option of that name does; so the
port stays out of every URL. The server ends with its parent, even when the parent is killed.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from openalign.errors import StageError

HEADERS = "headers.json"
"""In the served folder: extra response headers by path."""


@contextmanager
def serve(folder: str, *, host: str) -> Generator[dict[str, str]]:
    """Serve a local folder while the block runs; yield `{host: "127.0.0.1:port"}`.

    Raises:
        StageError: the server did not start.
    """
    command = [sys.executable, "-m", "openalign.demo.server", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:  # noqa: S603  # our own module
        assert server.stdin is not None
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        if not port:
            raise StageError(f"{folder} could not be served", hint="see the message above")
        try:
            yield {host: f"127.0.0.1:{port}"}
        finally:
            server.stdin.close()
            server.wait(timeout=10)


class _Server(ThreadingHTTPServer):
    """Takes bursts of connections: a full backlog makes a client wait a second."""

    daemon_threads = True
    request_queue_size = 128


class _Handler(SimpleHTTPRequestHandler):
    """Static files with the headers that `headers.json` adds; silent, connections kept open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: else each answer waits 40 ms
    extra_headers: dict[str, dict[str, str]] = {}  # noqa: RUF012  # set once, before serving

    def end_headers(self) -> None:
        for name, value in self.extra_headers.get(self.path, {}).items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing: a line a request would drown the run's own messages."""


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m openalign.demo.server")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    headers = folder / HEADERS
    if headers.exists():
        _Handler.extra_headers = json.loads(headers.read_text())
    server = _Server(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)  # noqa: T201  # how the parent learns the port
    sys.stdin.buffer.read()  # ends with the parent, even when it is killed
    os._exit(0)


if __name__ == "__main__":
    _main()
