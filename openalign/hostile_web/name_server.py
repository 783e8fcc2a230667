"""A small DNS server on loopback, over UDP and TCP, that says of names what it is told."""

import ipaddress
import socketserver
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from openalign.hostile_web.server import LOOPBACK

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

_TYPES = {1: "A", 5: "CNAME", 28: "AAAA"}
_NUMBERS = {name: number for number, name in _TYPES.items()}
_MAX_UDP_BYTES = 512
_RESPONSE, _TRUNCATED = 0x8180, 0x0200
_SOA_SECONDS = 300
_POLL_SECONDS = 0.02
_MAX_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class NameReply:
    """What is said of one name and type: records of `(owner, type, text)`, or a code."""

    records: Sequence[tuple[str, str, str]] = ()
    ttl: int = 300
    code: int = NOERROR
    after_seconds: float = 0.0
    is_lost: bool = False
    """Whether nothing is sent."""


def addresses(name: str, *texts: str, **changes: Any) -> NameReply:
    """Return the answer of a name that has these addresses of one family."""
    kinds = ["AAAA" if ":" in text else "A" for text in texts]
    records = [(name, kind, text) for kind, text in zip(kinds, texts, strict=True)]
    return NameReply(records=records, **changes)


@dataclass(kw_only=True)
class ServedNames(ABC):
    """What a name server says, and what it was asked. Its threads share the counts under `lock`."""

    asked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """How often, by name and type."""

    num_by_tcp: int = 0
    most_at_once: int = 0
    address: str = ""
    """Where it is served, as `address:port`."""

    _num_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @abstractmethod
    def answer_to(self, name: str, kind: str, times: int) -> NameReply:
        """Return what is said of a name and a type that were asked for so many times."""

    def reply(self, query: bytes, *, by_tcp: bool) -> bytes:
        """Return the message that answers a query, or nothing where it is lost."""
        number, name, kind, question = _read(query)
        with self.lock:
            self._num_open += 1
            self.most_at_once = max(self.most_at_once, self._num_open)
            self.asked[name, kind] += 1
            self.num_by_tcp += by_tcp
            answer = self.answer_to(name, kind, self.asked[name, kind])
        time.sleep(answer.after_seconds)
        with self.lock:
            self._num_open -= 1
        if answer.is_lost:
            return b""
        message = _message(number, question, answer)
        if by_tcp or len(message) <= _MAX_UDP_BYTES:
            return message
        flags = _RESPONSE | _TRUNCATED
        return struct.pack(">6H", number, flags, 1, 0, 0, 0) + question


@contextmanager
def served_names(names: ServedNames, *, port: int = 0) -> Generator[None]:
    """Serve names while the block runs, at the port or, with 0, at any; `names.address` says where.

    Raises:
        OSError: the port cannot be had.
    """

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, sock = self.request
            if message := names.reply(query, by_tcp=False):
                sock.sendto(message, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self.rfile.read(2):
                query = self.rfile.read(struct.unpack(">H", length)[0])
                message = names.reply(query, by_tcp=True)
                self.wfile.write(struct.pack(">H", len(message)) + message)

    tcp, udp = _at_one_port(Tcp, Udp, port)
    names.address = f"{LOOPBACK}:{udp.server_address[1]}"
    tcp.daemon_threads = True  # those of UDP end by themselves, and are waited for
    with tcp, udp:
        for server in (udp, tcp):
            serve = server.serve_forever
            threading.Thread(target=serve, args=(_POLL_SECONDS,), daemon=True).start()
        try:
            yield
        finally:
            for server in (udp, tcp):
                server.shutdown()


def _at_one_port(
    tcp: type[socketserver.BaseRequestHandler],
    udp: type[socketserver.BaseRequestHandler],
    port: int,
) -> tuple[socketserver.ThreadingTCPServer, socketserver.ThreadingUDPServer]:
    """Return servers of both kinds at one port, which may be taken for one of them alone."""
    tries_left = 1 if port else _MAX_TRIES
    while True:
        by_tcp = socketserver.ThreadingTCPServer((LOOPBACK, port), tcp)
        try:
            return by_tcp, socketserver.ThreadingUDPServer(by_tcp.server_address, udp)
        except OSError:
            by_tcp.server_close()
            tries_left -= 1
            if not tries_left:
                raise


def _read(query: bytes) -> tuple[int, str, str, bytes]:
    """Return number, name, type and question of a query."""
    labels: list[str] = []
    place = 12
    while length := query[place]:
        labels.append(query[place + 1 : place + 1 + length].decode("ascii").lower())
        place += 1 + length
    (kind,) = struct.unpack_from(">H", query, place + 1)
    (number,) = struct.unpack_from(">H", query)
    return number, ".".join(labels), _TYPES[kind], query[12 : place + 5]


def _message(number: int, question: bytes, answer: NameReply) -> bytes:
    records = [_record(*record, ttl=answer.ttl) for record in answer.records]
    authority = [] if records else [_start_of_authority()]
    flags = _RESPONSE | answer.code
    head = struct.pack(">6H", number, flags, 1, len(records), len(authority), 0)
    return b"".join([head, question, *records, *authority])


def _record(owner: str, kind: str, text: str, *, ttl: int) -> bytes:
    data = _encoded(text) if kind == "CNAME" else ipaddress.ip_address(text).packed
    return _encoded(owner) + struct.pack(">HHIH", _NUMBERS[kind], 1, ttl, len(data)) + data


def _start_of_authority() -> bytes:
    data = _encoded("ns.example") + _encoded("admin.example")
    data += struct.pack(">5I", 1, 3600, 600, 86400, _SOA_SECONDS)
    return _encoded("example") + struct.pack(">HHIH", 6, 1, _SOA_SECONDS, len(data)) + data


def _encoded(name: str) -> bytes:
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"
