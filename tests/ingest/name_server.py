"""A DNS server on loopback, over UDP and TCP: a test decides its answers and counts its queries."""

import ipaddress
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from openalign.ingest.web.config import DnsConfig

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

_TYPES = {1: "A", 5: "CNAME", 28: "AAAA"}
_NUMBERS = {name: number for number, name in _TYPES.items()}
_MAX_UDP_BYTES = 512
_RESPONSE, _TRUNCATED = 0x8180, 0x0200
_SOA_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said of one name and type: records of `(owner, type, text)`, or a code."""

    records: Sequence[tuple[str, str, str]] = ()
    ttl: int = 300
    code: int = NOERROR
    after_seconds: float = 0.0
    is_lost: bool = False
    """Whether nothing is sent."""


def addresses(name: str, *texts: str, **changes: Any) -> Answer:
    """Return the answer of a name that has these addresses of one family."""
    kinds = ["AAAA" if ":" in text else "A" for text in texts]
    records = [(name, kind, text) for kind, text in zip(kinds, texts, strict=True)]
    return Answer(records=records, **changes)


@dataclass(kw_only=True)
class NameServer:
    """The names that are known, and what was asked for."""

    names: dict[tuple[str, str], Answer | list[Answer]] = field(
        default_factory=dict[tuple[str, str], Answer | list[Answer]]
    )
    otherwise: Answer = field(default_factory=lambda: Answer(code=NXDOMAIN))
    """Said of all other names."""

    asked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    num_by_tcp: int = 0
    most_at_once: int = 0
    address: str = ""
    _num_open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, name: str, *texts: str, **changes: Any) -> None:
        """Give a name these addresses; of the other family it has none."""
        for kind, sign in (("A", "."), ("AAAA", ":")):
            of_kind = [text for text in texts if sign in text]
            self.names[name, kind] = addresses(name, *of_kind, **changes)

    def settings(self, **changes: Any) -> DnsConfig:
        """Return settings that ask this server alone, without a limit on the rate."""
        given: dict[str, Any] = {"servers": (self.address,), "queries_per_second": 1e6}
        return DnsConfig(**(given | changes))

    def reply(self, query: bytes, *, by_tcp: bool) -> bytes:
        """Return the message that answers a query, or nothing where it is lost."""
        number, name, kind, question = _read(query)
        with self._lock:
            self._num_open += 1
            self.most_at_once = max(self.most_at_once, self._num_open)
            self.asked[name, kind] += 1
            self.num_by_tcp += by_tcp
            known = self.names.get((name, kind), self.otherwise)
            if isinstance(known, list):
                known = known[min(self.asked[name, kind], len(known)) - 1]
        time.sleep(known.after_seconds)
        with self._lock:
            self._num_open -= 1
        if known.is_lost:
            return b""
        message = _message(number, question, known)
        if by_tcp or len(message) <= _MAX_UDP_BYTES:
            return message
        flags = _RESPONSE | _TRUNCATED
        return struct.pack(">6H", number, flags, 1, 0, 0, 0) + question


@contextmanager
def name_server() -> Generator[NameServer]:
    """Serve names while the block runs."""
    served = NameServer()

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, sock = self.request
            if message := served.reply(query, by_tcp=False):
                sock.sendto(message, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self.rfile.read(2):
                query = self.rfile.read(struct.unpack(">H", length)[0])
                message = served.reply(query, by_tcp=True)
                self.wfile.write(struct.pack(">H", len(message)) + message)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp) as tcp:
        port = tcp.server_address[1]
        with socketserver.ThreadingUDPServer(("127.0.0.1", port), Udp) as udp:
            served.address = f"127.0.0.1:{port}"
            tcp.daemon_threads = True  # those of UDP end by themselves, and are waited for
            for server in (udp, tcp):
                threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield served
            for server in (udp, tcp):
                server.shutdown()


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


def _message(number: int, question: bytes, answer: Answer) -> bytes:
    records = [_record(*record, ttl=answer.ttl) for record in answer.records]
    authority = [] if records else [_start_of_authority()]
    flags = _RESPONSE | answer.code
    head = struct.pack(">6H", number, flags, 1, len(records), len(authority), 0)
    return b"".join([head, question, *records, *authority])


def _record(owner: str, kind: str, text: str, *, ttl: int) -> bytes:
    data = _encoded(text) if kind == "CNAME" else ipaddress.ip_address(text).packed
    return _encoded(owner) + struct.pack(">HHIH", _NUMBERS[kind], 1, ttl, len(data)) + data


def _start_of_authority() -> bytes:
    data = _encoded("ns.example") + _encoded("root.example")
    data += struct.pack(">5I", 1, 3600, 600, 86400, _SOA_SECONDS)
    return _encoded("example") + struct.pack(">HHIH", 6, 1, _SOA_SECONDS, len(data)) + data


def _encoded(name: str) -> bytes:
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"
