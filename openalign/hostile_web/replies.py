"""What a server answers to a request, and the writing of it: whole, late, cut, false, without end.

Whatever hangs here hangs until the client goes: only its own deadlines can end it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. Without a change it is an empty 200."""

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

    once_a_connection: bool = False
    """Hang up where the connection has carried an answer."""

    interim: bytes = b""
    """What stands on the wire before the answer."""

    raw: bytes | None = None
    """All that stands on the wire, in place of a status, headers and a body."""

    endless: bytes = b""
    """What follows over and over, until the client goes."""

    endless_seconds: float = 0.0
    """The pause before each time."""

    then_silent: bool = False
    """Say nothing more, and stay connected until the client goes."""


def write_reply(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    """Write a reply to the client of a request.

    Raises:
        OSError: the client went first.
    """
    if reply.hang_up:
        handler.close_connection = True
        return
    handler.wfile.write(reply.interim)
    if reply.raw is not None:
        _write_body(handler, reply, reply.raw)
        handler.close_connection = True
    else:
        handler.send_response(reply.status)
        for name, value in reply.headers:
            handler.send_header(name, value)
        length = len(reply.body) if reply.length is None else reply.length
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        _write_body(handler, reply, reply.body)
        handler.close_connection |= length != len(reply.body)
    while reply.endless:
        time.sleep(reply.endless_seconds)
        handler.wfile.write(reply.endless)
    if reply.then_silent:
        wait_until_left(handler)


def wait_until_left(handler: BaseHTTPRequestHandler) -> None:
    """Wait, in silence, until the client closes the connection."""
    handler.close_connection = True
    while handler.connection.recv(4096):
        pass


def _write_body(handler: BaseHTTPRequestHandler, reply: Reply, body: bytes) -> None:
    if reply.a_byte_a_second:
        for number in range(len(body)):
            handler.wfile.write(body[number : number + 1])
            time.sleep(1)
        return
    if reply.pause_at:
        handler.wfile.write(body[: reply.pause_at])
        time.sleep(0.1)
    handler.wfile.write(body[reply.pause_at :])
