"""Outages of this machine: failures that are not the host's and are never sealed as such.

    no descriptors   no socket can be opened
    no certificates  there is none to trust
    a copy gone      what a host is reached through (`connect_to`, `proxy`) takes no connection
    no network       there is no route to the address, nor to any other
    no DNS           no name is resolved: not this one, not the last that answered, no control

A failure of one host alone is never an outage, so a dead host cannot block a run.
`Outages` decides; `Machine` makes the system calls.
"""

import errno
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum

import pycares
import pycurl

from openalign.errors import StageError
from openalign.ingest.web.addresses import is_address, is_loopback
from openalign.ingest.web.name_servers import (
    Result,
    ask,
    is_known_to_fail,
    is_never_in_dns,
    open_channel,
)

CONTROL_NAME = "example.com"
"""A name that DNS knows wherever it works (RFC 2606). It is looked up and never connected to."""

CONTROL_ADDRESSES = ("192.0.2.1", "2001:db8::1")
"""Documentation addresses (RFC 5737, RFC 3849): only the route to them is checked."""

_NO_SOCKET = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_ROUTE = frozenset(
    {
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EHOSTUNREACH,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
    }
)
_NOT_CONNECTED = frozenset({pycurl.E_COULDNT_CONNECT, pycurl.E_COULDNT_RESOLVE_HOST})
_SPARE_DESCRIPTORS = 16
_CONTROL_SECONDS = 2.0
_PROBE_SECONDS = 3.0


_Answer = Future[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Facts about a request without a complete answer."""

    code: int
    """libcurl's error code."""

    address: str | None = None
    """The last address that was tried; None when the name was not resolved."""

    socket_errno: int = 0
    """Why no socket was opened; 0 when one was opened or none was needed."""


class Lookup(Enum):
    """A resolver's answer about a name."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    NO_ANSWER = "no answer"


class Machine:
    """System calls that show which parts of this machine work."""

    def __init__(self, name_servers: Sequence[str] = ()) -> None:
        """Look up names where `name_servers` are, or as the system does."""
        self._name_servers = name_servers

    def missing_descriptors(self) -> int:
        """Return 0 when a few more files can be opened, else the errno of the refusal."""
        opened: list[int] = []
        try:
            opened = [os.open(os.devnull, os.O_RDONLY)]
            opened += [os.dup(opened[0]) for _ in range(_SPARE_DESCRIPTORS)]
        except OSError as error:
            return error.errno or 0
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return 0

    def takes_connections(self, target: str) -> bool:
        """Tell whether something listens at an `address:port`."""
        address, _, port = target.rpartition(":")
        try:
            with socket.create_connection((address.strip("[]"), int(port)), _PROBE_SECONDS):
                return True
        except OSError:
            return False

    def has_route(self, address: str) -> bool:
        """Tell whether packets to an address would leave this machine; none is sent."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
        except OSError as error:
            return error.errno not in _NO_ROUTE
        return True

    def look_up(self, name: str) -> Lookup:
        """Ask the resolver for a name; there is no deadline."""
        if self._name_servers:
            return _look_up_at(self._name_servers, name)
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            known = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
            known.add(getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME))
            return Lookup.UNKNOWN if error.errno in known else Lookup.NO_ANSWER
        except UnicodeError:  # such a name never reaches a resolver
            return Lookup.UNKNOWN
        except OSError:
            return Lookup.NO_ANSWER
        return Lookup.KNOWN


class Outages:
    """Judges the failures of one client's requests."""

    def __init__(
        self, connect_to: Mapping[str, str], machine: Machine | None = None, *, proxy: str = ""
    ) -> None:
        self._connect_to = {host.lower(): target for host, target in connect_to.items()}
        self._proxy = proxy.partition("://")[2].rpartition("@")[2].rstrip("/")
        self._machine = machine or Machine()
        self._reached_name: str | None = None
        self._reached_address: str | None = None
        self._control = _Control(self._machine)
        self._aside = _Aside()

    def note_answer(self, host: str, address: str | None) -> None:
        """Remember the host that answered last: a later check tries it again."""
        if self._proxy or host in self._connect_to or address is None or is_loopback(address):
            return
        self._reached_address = address
        if not is_address(host):
            self._reached_name = host

    def shortage(self, trouble: Trouble) -> int:
        """Return the errno of a lack of descriptors here, or 0."""
        if trouble.socket_errno in _NO_SOCKET:
            return trouble.socket_errno
        return self._machine.missing_descriptors()

    def judge(self, host: str, trouble: Trouble) -> str | None:
        """Return which outage this machine has, or None when the failure is the host's own.

        The call waits for no resolver: see `is_doubtful`.
        """
        if number := self.shortage(trouble):
            return f"no socket could be opened here ({os.strerror(number)})"
        if trouble.code == pycurl.E_SSL_CACERT_BADFILE:
            return "there are no certificates here to tell hosts by (`web.ca_file` names some)"
        if (target := self._connect_to.get(host)) is not None:
            if trouble.code in _NOT_CONNECTED or not self._machine.takes_connections(target):
                return f"nothing listens at {target}, where {host} is reached (`web.connect_to`)"
        elif self._proxy:
            if not self._machine.takes_connections(self._proxy):
                return f"the proxy at {self._proxy} takes no connection"
        elif trouble.address is not None and not is_loopback(trouble.address):
            return self._judge_route(host, trouble.address)
        return None

    def _judge_route(self, host: str, address: str) -> str | None:
        others = [self._reached_address] if self._reached_address is not None else []
        if any(self._machine.has_route(to) for to in (address, *CONTROL_ADDRESSES, *others)):
            return None
        return f"this machine has no network: there is no route to {host}, nor to any other"

    def is_doubtful(self, host: str, trouble: Trouble) -> bool:
        """Tell whether only a resolver can find the cause of the failure: `judge_name` asks it."""
        return (
            trouble.address is None
            and trouble.code in (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_OPERATION_TIMEDOUT)
            and host not in self._connect_to
            and not self._proxy
            and not is_address(host)
            and not is_never_in_dns(host)
        )

    def judge_name(self, host: str) -> "Future[str | None]":
        """Return a future of the verdict of `judge` on a name that was not resolved.

        A broken resolver can take half a minute to fail, and other hosts must not wait for it.
        """
        reached = self._reached_name

        def ask() -> str | None:
            names = [host] if reached is None else [host, reached]
            if self._control.answers():
                return None
            if any(self._machine.look_up(name) is not Lookup.NO_ANSWER for name in names):
                return None
            return f"DNS is out: none of {', '.join([*names, CONTROL_NAME])} could be looked up"

        return self._aside.ask(ask)


def outage_error(what: str) -> StageError:
    """Return the error of a run that this outage stops."""
    return StageError(what, hint="the same command goes on from here, once that is mended")


def _look_up_at(servers: Sequence[str], name: str) -> Lookup:
    found: list[Lookup] = []

    def tell(result: Result, status: int | None) -> None:
        del result
        is_unknown = status is not None and is_known_to_fail(status)
        unknown = Lookup.UNKNOWN if is_unknown else Lookup.NO_ANSWER
        found.append(Lookup.KNOWN if status is None else unknown)

    channel = open_channel(servers)
    ask(channel, name, pycares.QUERY_TYPE_A, tell)
    channel.wait()
    channel.close()
    return found[0]


class _Control:
    """Whether DNS answers for a name that exists; asked at most every few seconds."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._asked = -_CONTROL_SECONDS
        self._answered = False

    def answers(self) -> bool:
        if time.monotonic() - self._asked >= _CONTROL_SECONDS:
            self._answered = self._machine.look_up(CONTROL_NAME) is not Lookup.NO_ANSWER
            self._asked = time.monotonic()  # those that waited for a slow answer share it
        return self._answered


class _Aside:
    """Answers questions one after the other, in a thread that no process waits for at its end.

    One is enough: where DNS answers, each question takes milliseconds, and where it does not, the
    first answer ends the run.
    """

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[tuple[Callable[[], str | None], _Answer]] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def ask(self, question: Callable[[], str | None]) -> _Answer:
        """Return the answer to a question, when it is known."""
        answer: _Answer = Future()
        self._questions.put((question, answer))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="outages", daemon=True)
            self._thread.start()
        return answer

    def _work(self) -> None:
        while True:
            question, answer = self._questions.get()
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001  # raised where the answer is read
                answer.set_exception(error)
