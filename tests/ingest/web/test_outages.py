"""Whose a failure is: what this machine lacks is told apart from what a host does."""

import errno
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pycurl
import pytest
from local_ports import free_port
from patience import PATIENCE_SECONDS

from openalign.ingest.web.outages import CONTROL_NAME, Lookup, Machine, Outages, Trouble

HOST = "images.example"
COPY = "copy.example"
TARGET = "127.0.0.1:8080"


@dataclass
class FakeMachine(Machine):
    """A machine on which everything works that is not taken away."""

    no_descriptors: int = 0
    listening: set[str] = field(default_factory=lambda: {TARGET})
    routed: tuple[str, ...] = ("",)
    """Beginnings of the addresses that there is a way to."""

    names: dict[str, Lookup] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)

    def missing_descriptors(self) -> int:
        return self.no_descriptors

    def takes_connections(self, target: str) -> bool:
        return target in self.listening

    def has_route(self, address: str) -> bool:
        return address.startswith(self.routed)

    def look_up(self, name: str) -> Lookup:
        self.looked_up.append(name)
        return self.names.get(name, Lookup.NO_ANSWER)


def outages(machine: Machine) -> Outages:
    return Outages({COPY: TARGET}, machine)


def trouble(
    code: int = pycurl.E_COULDNT_CONNECT, address: str | None = "8.8.8.8", number: int = 0
) -> Trouble:
    return Trouble(code=code, address=address, socket_errno=number)


# No descriptors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_socket_that_this_machine_refuses_is_its_own_failure(number: int) -> None:
    what = outages(FakeMachine()).judge(HOST, trouble(number=number))

    assert what is not None
    assert what.startswith("no socket could be opened here (")


@pytest.mark.parametrize("code", [pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_SSL_CACERT_BADFILE])
def test_without_descriptors_nothing_is_said_of_a_host(code: int) -> None:
    machine = FakeMachine(no_descriptors=errno.EMFILE)

    what = outages(machine).judge(HOST, trouble(code))

    assert what == "no socket could be opened here (Too many open files)"


def test_a_host_of_a_kind_of_address_that_this_machine_lacks_is_unreachable() -> None:
    lacking = trouble(address="2606:4700::1111", number=errno.EAFNOSUPPORT)

    assert outages(FakeMachine(routed=("192.0.2.",))).judge(HOST, lacking) is None


# A copy gone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [pycurl.E_COULDNT_CONNECT, pycurl.E_COULDNT_RESOLVE_HOST])
def test_a_copy_that_cannot_be_connected_to_is_our_own_failure(code: int) -> None:
    what = outages(FakeMachine()).judge(COPY, trouble(code, "127.0.0.1"))

    assert (
        what
        == "nothing listens at 127.0.0.1:8080, where copy.example is reached (`web.connect_to`)"
    )


@pytest.mark.parametrize(
    "code", [pycurl.E_RECV_ERROR, pycurl.E_GOT_NOTHING, pycurl.E_OPERATION_TIMEDOUT]
)
def test_a_copy_that_breaks_off_fails_itself_only_as_long_as_it_listens(code: int) -> None:
    broken = trouble(code, "127.0.0.1")

    assert outages(FakeMachine()).judge(COPY, broken) is None
    assert outages(FakeMachine(listening=set())).judge(COPY, broken) is not None


# No network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [pycurl.E_COULDNT_CONNECT, pycurl.E_OPERATION_TIMEDOUT])
def test_without_a_route_to_anything_the_network_is_out(code: int) -> None:
    what = outages(FakeMachine(routed=("127.",))).judge(HOST, trouble(code))

    expected = "this machine has no network: there is no route to images.example, nor to any other"
    assert what == expected


@pytest.mark.parametrize(
    ("address", "routed"),
    [
        pytest.param("8.8.8.8", "8.8.", id="the address itself"),
        pytest.param("2606:4700::1111", "192.0.2.", id="IPv6 alone, machine with IPv4"),
        pytest.param("8.8.8.8", "2001:db8:", id="IPv4 alone, machine with IPv6"),
        pytest.param("127.0.0.1", "none", id="loopback"),
        pytest.param("8.8.8.8", "10.", id="a private network whose hosts answered"),
    ],
)
def test_a_host_that_cannot_be_reached_where_others_can_fails_itself(
    address: str, routed: str
) -> None:
    judged = outages(FakeMachine(routed=(routed,)))
    judged.note_answer("intern.example", "10.0.0.7")

    assert judged.judge(HOST, trouble(address=address)) is None


def test_a_copy_that_answers_says_nothing_of_the_network() -> None:
    judged = outages(FakeMachine(routed=("127.", "10.")))
    judged.note_answer(COPY, "10.0.0.7")

    assert judged.judge(HOST, trouble()) is not None


# No DNS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "is_out"),
    [
        pytest.param({}, True, id="no name"),
        pytest.param({CONTROL_NAME: Lookup.KNOWN}, False, id="the control"),
        pytest.param({CONTROL_NAME: Lookup.UNKNOWN}, False, id="a DNS without the control"),
        pytest.param({HOST: Lookup.UNKNOWN}, False, id="the name does not exist"),
        pytest.param({HOST: Lookup.KNOWN}, False, id="the name resolves by now"),
        pytest.param({"reached.example": Lookup.KNOWN}, False, id="one that answered before"),
    ],
)
def test_dns_is_out_when_it_knows_nothing_of_any_name(
    names: dict[str, Lookup], *, is_out: bool
) -> None:
    judged = outages(FakeMachine(names=names))
    judged.note_answer("reached.example", "8.8.8.8")

    what = judged.judge_name(HOST).result(PATIENCE_SECONDS)

    expected = "DNS is out: none of images.example, reached.example, example.com could be looked up"
    assert what == (expected if is_out else None)


def test_the_control_is_not_looked_up_for_each_of_many_failures() -> None:
    machine = FakeMachine(names={CONTROL_NAME: Lookup.KNOWN})
    judged = outages(machine)

    for number in range(9):
        assert judged.judge_name(f"{number}.example").result(PATIENCE_SECONDS) is None

    assert machine.looked_up == [CONTROL_NAME]


def test_failures_that_wait_for_a_slow_resolver_share_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(FakeMachine):
        def look_up(self, name: str) -> Lookup:
            if name == CONTROL_NAME:
                time.sleep(0.3)
            return super().look_up(name)

    monkeypatch.setattr("openalign.ingest.web.outages._CONTROL_SECONDS", 0.2)
    machine = Slow()
    judged = outages(machine)

    verdicts = [judged.judge_name(f"{number}.example") for number in range(9)]

    assert all(verdict.result(PATIENCE_SECONDS) is not None for verdict in verdicts)
    assert machine.looked_up.count(CONTROL_NAME) < 5


@pytest.mark.parametrize(
    ("host", "code", "address", "is_doubtful"),
    [
        pytest.param(HOST, pycurl.E_COULDNT_RESOLVE_HOST, None, True, id="no address"),
        pytest.param(HOST, pycurl.E_OPERATION_TIMEDOUT, None, True, id="the resolver is too slow"),
        pytest.param(HOST, pycurl.E_OPERATION_TIMEDOUT, "8.8.8.8", False, id="the host is"),
        pytest.param("a.invalid", pycurl.E_COULDNT_RESOLVE_HOST, None, False, id="invalid"),
        pytest.param("[::1]", pycurl.E_OPERATION_TIMEDOUT, None, False, id="no name"),
        pytest.param(COPY, pycurl.E_COULDNT_RESOLVE_HOST, None, False, id="a copy"),
    ],
)
def test_a_resolver_is_asked_only_about_a_name_that_was_not_resolved(
    host: str, code: int, address: str | None, *, is_doubtful: bool
) -> None:
    judged = outages(FakeMachine())

    assert judged.is_doubtful(host, trouble(code, address)) == is_doubtful


# The machine itself -------------------------------------------------------------------------------


def test_a_port_takes_connections_while_something_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
        assert Machine().takes_connections(target)

    assert not Machine().takes_connections(f"127.0.0.1:{free_port()}")


def test_a_route_is_missing_only_where_the_system_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Machine().has_route("127.0.0.1")

    class Unreachable(socket.socket):
        number = errno.ENETUNREACH

        def connect(self, address: object) -> None:
            raise OSError(self.number, "refused")

    monkeypatch.setattr(socket, "socket", Unreachable)
    assert not Machine().has_route("8.8.8.8")
    monkeypatch.setattr(Unreachable, "number", errno.EPERM)
    assert Machine().has_route("8.8.8.8")


@pytest.mark.parametrize(
    ("error", "lookup"),
    [
        pytest.param(socket.gaierror(socket.EAI_NONAME, "no such name"), Lookup.UNKNOWN, id="none"),
        pytest.param(socket.gaierror(socket.EAI_AGAIN, "later"), Lookup.NO_ANSWER, id="again"),
        pytest.param(socket.gaierror(socket.EAI_SYSTEM, "out"), Lookup.NO_ANSWER, id="system"),
        pytest.param(UnicodeError("label too long"), Lookup.UNKNOWN, id="not a name"),
    ],
)
def test_a_resolver_that_gives_no_answer_is_not_one_that_knows_no_such_name(
    monkeypatch: pytest.MonkeyPatch, error: Exception, lookup: Lookup
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    assert Machine().look_up("localhost") is Lookup.KNOWN
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Machine().look_up("localhost") is lookup


_FEW_DESCRIPTORS = """
import os, resource
from openalign.ingest.web.outages import Machine
assert Machine().missing_descriptors() == 0
opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 16
resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 5, opened + 5))
print(os.strerror(Machine().missing_descriptors()))
"""


def test_descriptors_are_missed_before_the_last_one_is_gone() -> None:
    command = [sys.executable, "-c", _FEW_DESCRIPTORS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "Too many open files\n"
