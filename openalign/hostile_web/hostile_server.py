"""The servers of the hostile web: every case under a host of its own, and the names of some."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler

from openalign.hostile_web.case import GOOD, NOTHING, Answers, Case, Door
from openalign.hostile_web.certificates import Certificate, Certificates
from openalign.hostile_web.name_server import (
    NXDOMAIN,
    NameReply,
    ServedNames,
    addresses,
    served_names,
)
from openalign.hostile_web.replies import Reply
from openalign.hostile_web.server import LOOPBACK, ServedWeb, served

_ROBOTS, _TDMREP = "/robots.txt", "/.well-known/tdmrep.json"

_KNOWN_EVERYWHERE = addresses("example.com", "192.0.2.80")
"""A client that is in doubt about its name server asks for this name, and does not connect."""


@dataclass(kw_only=True)
class HostileNames(ServedNames):
    """Says of hosts what their cases say; on another day all are where the web is served."""

    cases: Mapping[str, Case]
    note_host: Callable[[str], None]
    """Is told each name that is asked for."""

    is_another_day: bool = False

    def begin_day(self, *, is_another: bool) -> None:
        """Begin a day: nothing is remembered of what was asked."""
        with self.lock:
            self.asked = Counter()
            self.is_another_day = is_another

    def answer_to(self, name: str, kind: str, times: int) -> NameReply:
        """Return what a case says of its host; nobody else is known."""
        self.note_host(name)
        case = self.cases.get(name)
        if name == _KNOWN_EVERYWHERE.records[0][0]:
            answer = _KNOWN_EVERYWHERE
        elif case is None or not case.name_answers:
            answer = NameReply(code=NXDOMAIN)
        elif self.is_another_day:
            answer = addresses(name, LOOPBACK)
        else:
            answer = case.name_answers[min(times, len(case.name_answers)) - 1]
        if kind == "A":
            return answer
        return replace(answer, records=[record for record in answer.records if record[1] != "A"])


@dataclass(kw_only=True)
class HostileWeb(ServedWeb):
    """Answers as its cases say; on another day every host is well."""

    cases: Sequence[Case]
    is_another_day: bool = False
    connect_to: dict[str, str] = field(default_factory=dict[str, str])
    """Where each host is reached, as `address:port`."""

    http_port: int = 0
    """Where those are asked that are reached by their names."""

    authority: bytes = b""
    """The certificate (PEM) of the authority to trust."""

    seen: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """When each host was asked first and last today, on the clock of `time.monotonic`."""

    def __post_init__(self) -> None:
        self._by_host = {case.host: case for case in self.cases}
        self.names = HostileNames(cases=self._by_host, note_host=self._note)

    def begin_day(self, *, is_another: bool) -> None:
        """Begin a day: no host remembers how often it was asked."""
        with self.lock:
            self.asked = Counter()
            self.seen = {}
            self.is_another_day = is_another
        self.names.begin_day(is_another=is_another)

    def reply_to(self, handler: BaseHTTPRequestHandler) -> Reply:
        """Return the answer of the host that a request names."""
        host, path = handler.headers.get("Host", "").partition(":")[0], handler.path
        self._note(host)
        with self.lock:
            self.asked[host + path] += 1
            times = self.asked[host + path]
        case = None if self.is_another_day else self._by_host.get(host)
        if case is None:
            return NOTHING if path in (_ROBOTS, _TDMREP) else GOOD
        answers: Answers = {_ROBOTS: case.robots, _TDMREP: case.tdmrep}.get(path, case.image)
        if isinstance(answers, Reply):
            return answers
        return answers(path) if callable(answers) else answers[min(times, len(answers)) - 1]

    def _note(self, host: str) -> None:
        """Remember that a host was asked, or its name."""
        now = time.monotonic()
        with self.lock:
            self.seen[host] = (self.seen.get(host, (now, now))[0], now)

    def certificate_of(self, host: str) -> Certificate:
        """Return what a host shows for itself."""
        case = None if self.is_another_day else self._by_host.get(host)
        return Certificate.GOOD if case is None else case.certificate


@contextmanager
def serve(cases: Sequence[Case], *, port: int = 0) -> Generator[HostileWeb]:
    """Serve cases while the block runs.

    http has the port that is given, and TLS, silence and names the three behind it; 0 takes any.

    Raises:
        OSError: a port cannot be had.
    """
    web = HostileWeb(cases=cases)
    hosts = [case.host for case in cases if case.door is Door.HTTPS]
    certificates = Certificates(hosts)
    web.authority = certificates.pem
    tls = certificates.server_context(web.certificate_of)
    https_port, silent_port, names_port = (port + n if port else 0 for n in (1, 2, 3))
    with (
        served(web, port=port) as http,
        served(web, port=https_port, tls=tls) as https,
        served(web, port=silent_port, is_silent=True) as silent,
        served_names(web.names, port=names_port),
    ):
        doors = {Door.HTTP: http, Door.HTTPS: https, Door.SILENT: silent}
        web.connect_to = {case.host: doors[case.door] for case in cases if case.door in doors} | {
            case.neighbor: http for case in cases
        }
        web.http_port = int(http.rpartition(":")[2])
        yield web
