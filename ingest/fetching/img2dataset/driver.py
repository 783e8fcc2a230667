"""Runs img2dataset's Downloader for another process; the script of an environment of its own.

    python -I driver.py

It imports img2dataset and the standard library alone. The first line on stdin holds the settings
(`process.DriverSettings`) as JSON; the first on stdout, what answers. Then each line on stdin holds
the URLs of a shard. On stdout, a line of JSON and two files follow for each URL
(`process.Download`), in the order in which they end, and a line `{"is_end": true}` for the shard.

img2dataset asks through urllib. The opener that it finds there judges each address after DNS, also
of a redirect, names who asks, and keeps deadlines and limits.
"""

import http.client
import importlib.util
import json
import math
import os
import shutil
import socket
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, BinaryIO

NOT_PUBLIC = "not a public address: "
"""Begins the message about an address that may not be reached; the address follows."""

BAD_PORT = "its port belongs to another service"
"""The message about a port that is not one of the web's."""

_CHUNK_BYTES = 1 << 16
_OPENCV_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"


class _Timed:
    """A socket that waits for an answer as long as a request may take, and no longer."""

    silence_seconds = math.inf
    until = math.inf

    def recv_into(self, *args: Any, **named: Any) -> int:
        """Receive bytes within what is left of both times."""
        left = min(self.silence_seconds, self.until - time.monotonic())
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)  # pyright: ignore[reportAttributeAccessIssue]
        return super().recv_into(*args, **named)  # pyright: ignore[reportAttributeAccessIssue]


class _Socket(_Timed, socket.socket):
    """Plain."""


class _TlsSocket(_Timed, ssl.SSLSocket):
    """With TLS."""


class DialedConnections:
    """Opens the connections of requests, to public addresses and those that are allowed."""

    def __init__(self, settings: dict[str, Any], addresses: Any) -> None:
        """Judge by the module `addresses`: this project's, read from its file."""
        self._settings = settings
        self._is_allowed = addresses.is_allowed
        self._allowed = addresses.parse_networks(settings["allowed_networks"])
        self._context = ssl.create_default_context(
            cafile=settings["ca_file"] or None, capath=settings["ca_folder"] or None
        )
        self._context.sslsocket_class = _TlsSocket
        self.tried: dict[str, str] = {}
        """By host, the address that was tried last."""

    def plain(self, host: str, **settings: Any) -> http.client.HTTPConnection:
        """Return a connection, which is opened when it is asked for something."""
        return _Connection(self, host, **settings)

    def with_tls(self, host: str, **settings: Any) -> http.client.HTTPConnection:
        """Return the same, with TLS."""
        return _Connection(self, host, default_port=443, **settings)

    def response(self, *args: Any, **named: Any) -> http.client.HTTPResponse:
        """Return the answer on a connection."""
        response = _BoundedResponse(*args, **named)
        response.max_bytes = self._settings["max_bytes"] + 1
        return response

    def opened(self, host: str, port: int, *, with_tls: bool) -> socket.socket:
        """Return a socket that is connected to a host."""
        if port in self._settings["bad_ports"]:
            raise OSError(BAD_PORT)
        started = time.monotonic()
        opened = self._connected(host, port)
        self._time(opened, started)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if with_tls:
            opened = self._context.wrap_socket(opened, server_hostname=host)
            self._time(opened, started)
        return opened

    def _time(self, opened: Any, started: float) -> None:
        opened.silence_seconds = self._settings["silence_seconds"]
        opened.until = started + self._settings["total_seconds"]

    def _connected(self, host: str, port: int) -> socket.socket:
        where = self._settings["connect_to"].get(host.lower())
        to_host, to_port = host.strip("[]"), port
        if where is not None:
            to_host, _, number = where.rpartition(":")
            to_host, to_port = to_host.strip("[]"), int(number)
        error: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            to_host, to_port, type=socket.SOCK_STREAM
        ):
            name = str(address[0])
            if not self._is_allowed(name, self._allowed):
                error = error or OSError(f"{NOT_PUBLIC}{name}")
                continue
            self.tried[host.lower()] = name
            opened = _Socket(family, kind, protocol)
            opened.settimeout(self._settings["connect_seconds"])
            try:
                opened.connect(address)
            except OSError as failure:
                opened.close()
                error = failure
            else:
                return opened
        raise error or OSError(f"no address of {host}")


class _Connection(http.client.HTTPConnection):
    """A connection that `DialedConnections` opens."""

    def __init__(
        self, connections: DialedConnections, host: str, *, default_port: int = 80, **settings: Any
    ) -> None:
        self.default_port = default_port
        super().__init__(host, **settings)
        self._connections = connections
        self.response_class = connections.response  # pyright: ignore[reportAttributeAccessIssue]

    def connect(self) -> None:
        """Open the connection."""
        self.sock = self._connections.opened(
            self.host, self.port, with_tls=self.default_port == http.client.HTTPS_PORT
        )


class _BoundedResponse(http.client.HTTPResponse):
    """An answer whose body is read piece by piece, since the deadline holds for each."""

    max_bytes = 0

    def read(self, amt: int | None = None) -> bytes:
        """Return the body, or its first `max_bytes`.

        Raises:
            IncompleteRead: it ends before its length.
        """
        if amt is not None:
            return super().read(amt)
        body = bytearray()
        while len(body) < self.max_bytes and (piece := self.read1(_CHUNK_BYTES)):
            body += piece
        if len(body) < self.max_bytes and self.length:
            raise http.client.IncompleteRead(bytes(body), self.length)
        return bytes(body[: self.max_bytes])


class _Http(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Asks over connections of ours."""

    def __init__(self, connections: DialedConnections) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, req: urllib.request.Request) -> Any:
        """Ask without TLS."""
        return self.do_open(self._connections.plain, req)  # pyright: ignore[reportArgumentType]

    def https_open(self, req: urllib.request.Request) -> Any:
        """Ask with TLS."""
        return self.do_open(self._connections.with_tls, req)  # pyright: ignore[reportArgumentType]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; each request knows what was asked for at first."""

    def redirect_request(  # noqa: PLR0917  # urllib's
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Return the request for the next hop."""
        if not self.max_redirections:  # of which urllib would follow the first
            raise urllib.error.HTTPError(req.full_url, code, self.inf_msg + msg, headers, fp)
        following: Any = super().redirect_request(req, fp, code, msg, headers, newurl)
        following.asked = _asked(req)
        return following


class Answers(urllib.request.BaseHandler):
    """Names who asks, and keeps the head of each answer."""

    handler_order = 100  # before errors and redirects are handled

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self.heads: dict[str, dict[str, Any]] = {}
        """By the URL that was asked for, the answer that came last."""

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        """Put this project's name in place of a browser's."""
        if not hasattr(request, "asked"):
            self.heads.pop(request.full_url, None)  # of an attempt before
        request.add_header("User-Agent", self._user_agent)
        return request

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        """Keep the head of an answer."""
        self.heads[_asked(request)] = {
            "url": request.full_url,
            "status": response.status,
            "headers": [(name.lower(), value) for name, value in response.headers.items()],
        }
        return response

    https_request = http_request
    https_response = http_response


def _asked(request: Any) -> str:
    return getattr(request, "asked", request.full_url)


def opener_for(
    settings: dict[str, Any], connections: DialedConnections, answers: Answers
) -> urllib.request.OpenerDirector:
    """Return an opener that knows http alone: no proxy, no file, no ftp."""
    _Redirects.max_redirections = settings["max_redirects"]
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Http(connections),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
        answers,
    ):
        opener.add_handler(handler)
    return opener


class _Resizer:
    """img2dataset's own; it keeps the file that it resized last."""

    def __init__(self, inner: Callable[..., Any], max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes
        self._body: bytes | None = None

    def __call__(self, stream: Any, bounding_boxes: Any = None) -> Any:
        body = self._body = stream.getvalue()
        if len(body) > self._max_bytes:
            return None, None, None, None, None, "too many bytes"
        return self._inner(stream, bounding_boxes)

    def take_body(self) -> bytes | None:
        """Return the file once."""
        body, self._body = self._body, None
        return body


class _Writer:
    """Takes the place of a writer of img2dataset: sends each image to the other process.

    The Downloader resizes and writes one image after the other, in one thread.
    """

    def __init__(
        self, sink: BinaryIO, *, resizer: _Resizer, answers: Answers, connections: DialedConnections
    ) -> None:
        self._sink = sink
        self._resizer = resizer
        self._answers = answers
        self._connections = connections

    def write(self, image: bytes | None, _key: str, _caption: str | None, meta: Any) -> None:
        """Send what became of a URL: its file, and what img2dataset made of it."""
        body = self._resizer.take_body()
        made = image if image is not None and image != body else b""
        host = (urllib.parse.urlsplit(meta["url"]).hostname or "").lower()
        self.send(
            {
                "url": meta["url"],
                "is_success": meta["status"] == "success",
                "message": meta["error_message"],
                "head": self._answers.heads.pop(meta["url"], None),
                "address": self._connections.tried.get(host),
                "num_body_bytes": None if body is None else len(body),
                "num_made_bytes": len(made),
            },
            (body or b"") + made,
        )

    def send(self, line: dict[str, Any], content: bytes = b"") -> None:
        """Send a line and bytes; end with the process that no longer listens."""
        try:
            self._sink.write(json.dumps(line).encode() + b"\n" + content)
            self._sink.flush()
        except BrokenPipeError:
            os._exit(1)  # the Downloader would go on and ask for all the others

    def close(self) -> None:
        """Close nothing: the sink outlives a shard."""


def _module_at(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("addresses", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _downloader(settings: dict[str, Any], resizer: Any, writer: _Writer, folder: str) -> Any:
    from img2dataset.downloader import Downloader  # pyright: ignore[reportMissingImports]

    return Downloader(
        sample_writer_class=lambda *_: writer,
        resizer=resizer,
        save_caption=False,
        extract_exif=False,
        output_folder=folder,
        column_list=["url"],
        oom_shard_count=1,
        compute_hash=None,
        verify_hash_type=None,
        **settings["downloader"],
    )


def _download(downloader: Any, number: int, urls: list[str], folder: str) -> bool:
    """Run the Downloader on a shard; tell whether it came to its end."""
    import pyarrow as pa

    path = os.path.join(folder, "urls.feather")  # noqa: PTH118  # which the Downloader removes
    table = pa.table({"url": urls})
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return bool(downloader((number, path))[0])


def main() -> None:
    """Serve the other process until it closes stdin."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what img2dataset prints
    settings = json.loads(sys.stdin.buffer.readline())
    os.environ[_OPENCV_LIMIT] = str(settings["max_pixels"])
    from img2dataset.resizer import Resizer  # pyright: ignore[reportMissingImports]

    connections = DialedConnections(settings, _module_at(settings["addresses_file"]))
    answers = Answers(settings["user_agent"])
    urllib.request.install_opener(opener_for(settings, connections, answers))
    resizer = _Resizer(Resizer(**settings["resizer"]), settings["max_bytes"])
    writer = _Writer(sink, resizer=resizer, answers=answers, connections=connections)
    writer.send({"version": version("img2dataset")})
    folder = tempfile.mkdtemp(prefix="openalign-img2dataset-")
    try:
        downloader = _downloader(settings, resizer, writer, folder)
        for number, line in enumerate(sys.stdin.buffer):
            done = _download(downloader, number, json.loads(line), folder)
            writer.send({"is_end": True, "is_whole": done})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
