"""The server of the hostile web: every case under a host of its own."""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from openalign.hostile_web.case import GOOD, NOTHING, Answers, Case, Door
from openalign.hostile_web.certificates import Certificate, Certificates
from openalign.hostile_web.replies import Reply
from openalign.hostile_web.server import ServedWeb, served

_ROBOTS, _TDMREP = "/robots.txt", "/.well-known/tdmrep.json"


@dataclass(kw_only=True)
class HostileWeb(ServedWeb):
    """Answers as its cases say; on another day every host is well."""

    cases: Sequence[Case]
    is_another_day: bool = False
    connect_to: dict[str, str] = field(default_factory=dict[str, str])
    """Where each host is reached, as `address:port`."""

    authority: bytes = b""
    """The certificate (PEM) of the authority to trust."""

    seen: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """When each host was asked first and last today, on the clock of `time.monotonic`."""

    def __post_init__(self) -> None:
        self._by_host = {case.host: case for case in self.cases}

    def begin_day(self, *, is_another: bool) -> None:
        """Begin a day: no host remembers how often it was asked."""
        with self.lock:
            self.asked = Counter()
            self.seen = {}
            self.is_another_day = is_another

    def reply_to(self, handler: BaseHTTPRequestHandler) -> Reply:
        """Return the answer of the host that a request names."""
        host, path = handler.headers.get("Host", "").partition(":")[0], handler.path
        now = time.monotonic()
        with self.lock:
            self.seen[host] = (self.seen.get(host, (now, now))[0], now)
            self.asked[host + path] += 1
            times = self.asked[host + path]
        case = None if self.is_another_day else self._by_host.get(host)
        if case is None:
            return NOTHING if path in (_ROBOTS, _TDMREP) else GOOD
        answers: Answers = {_ROBOTS: case.robots, _TDMREP: case.tdmrep}.get(path, case.image)
        if isinstance(answers, Reply):
            return answers
        return answers(path) if callable(answers) else answers[min(times, len(answers)) - 1]

    def certificate_of(self, host: str) -> Certificate:
        """Return what a host shows for itself."""
        case = None if self.is_another_day else self._by_host.get(host)
        return Certificate.GOOD if case is None else case.certificate


@contextmanager
def serve(cases: Sequence[Case], *, port: int = 0) -> Generator[HostileWeb]:
    """Serve cases while the block runs.

    http has the port that is given, and TLS and silence the two behind it; 0 takes any three.

    Raises:
        OSError: a port cannot be had.
    """
    web = HostileWeb(cases=cases)
    hosts = [case.host for case in cases if case.door is Door.HTTPS]
    certificates = Certificates(hosts)
    web.authority = certificates.pem
    tls = certificates.server_context(web.certificate_of)
    https_port, silent_port = (port + 1, port + 2) if port else (0, 0)
    with (
        served(web, port=port) as http,
        served(web, port=https_port, tls=tls) as https,
        served(web, port=silent_port, is_silent=True) as silent,
    ):
        doors = {Door.HTTP: http, Door.HTTPS: https, Door.SILENT: silent}
        web.connect_to = {
            case.host: doors[case.door] for case in cases if case.door is not Door.NOWHERE
        } | {case.neighbor: http for case in cases}
        yield web
