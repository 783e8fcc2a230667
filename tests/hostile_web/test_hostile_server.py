"""The server of the hostile web, asked by the standard library's client."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pycares
import pytest

from openalign.hostile_web.cases import all_cases
from openalign.hostile_web.hostile_server import HostileWeb, serve
from openalign.ingest.web.name_servers import Result, ask, open_channel

_SECONDS = 60.0


@pytest.fixture(scope="module")
def web() -> Iterator[HostileWeb]:
    with serve(all_cases()) as running:
        yield running


@pytest.fixture(autouse=True)
def first_day(web: HostileWeb) -> None:
    web.begin_day(is_another=False)


def status_of(web: HostileWeb, name: str, path: str = "/0.jpg") -> int:
    host = f"{name}.hostile.example"
    connection = http.client.HTTPConnection(web.connect_to[host], timeout=_SECONDS)
    connection.request("GET", path, headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def shake_hands(web: HostileWeb, name: str) -> None:
    host = f"{name}.hostile.example"
    address, _, port = web.connect_to[host].partition(":")
    context = ssl.create_default_context(cadata=web.authority.decode())
    with (
        socket.create_connection((address, int(port)), _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


def addresses_of(web: HostileWeb, name: str, host: str = "hostile.example") -> list[str] | int:
    """Return what the name server says of a host: its IPv4 addresses, or an error of c-ares."""
    told: list[list[str] | int] = []

    def tell(result: Result, error: int | None) -> None:
        records: list[Any] = [] if result is None else result.answer
        found = [record.data.addr for record in records if record.type == pycares.QUERY_TYPE_A]
        told.append(error or found)

    channel = open_channel([web.names.address])
    ask(channel, f"{name}.{host}", pycares.QUERY_TYPE_A, tell)
    channel.wait()
    channel.close()
    return told[0]


def test_a_host_answers_as_its_case_says_and_the_one_beside_it_well(web: HostileWeb) -> None:
    assert status_of(web, "status-404") == 404
    assert status_of(web, "beside-status-404") == 200
    assert status_of(web, "robots-403", "/robots.txt") == 403
    assert status_of(web, "status-404", "/robots.txt") == 404


def test_a_host_remembers_how_often_each_address_was_asked_for_until_the_next_day(
    web: HostileWeb,
) -> None:
    def answers(path: str) -> list[int]:
        return [status_of(web, "status-503-heals", path) for _ in range(4)]

    assert answers("/0.jpg") == answers("/1.jpg") == [503, 503, 200, 200]

    web.begin_day(is_another=False)
    assert answers("/0.jpg") == [503, 503, 200, 200]


def test_on_another_day_every_host_is_well(web: HostileWeb) -> None:
    web.begin_day(is_another=True)

    assert status_of(web, "status-404") == 200
    assert status_of(web, "robots-503", "/robots.txt") == 404
    shake_hands(web, "tls-expired")


def test_a_name_is_what_its_case_says_until_another_day(web: HostileWeb) -> None:
    broken = pycares.errno.ARES_ESERVFAIL
    assert addresses_of(web, "name-private") == ["10.0.0.1"]
    assert addresses_of(web, "name-unknown") == pycares.errno.ARES_ENOTFOUND
    assert addresses_of(web, "name-alias-private") == ["10.0.0.1"]
    heals = [addresses_of(web, "name-servfail-heals") for _ in range(4)]
    assert heals == [broken, broken, ["127.0.0.1"], ["127.0.0.1"]]

    web.begin_day(is_another=False)
    assert addresses_of(web, "name-servfail-heals") == broken

    web.begin_day(is_another=True)
    assert addresses_of(web, "name-private") == addresses_of(web, "name-unknown") == ["127.0.0.1"]


def test_no_other_name_is_known_but_the_one_that_every_name_server_knows(web: HostileWeb) -> None:
    assert addresses_of(web, "status-404") == pycares.errno.ARES_ENOTFOUND  # `connect_to` has it
    assert addresses_of(web, "example", "com") == ["192.0.2.80"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tls-self-signed", "self-signed certificate"),
        ("tls-expired", "certificate has expired"),
        ("tls-other-host", "Hostname mismatch"),
    ],
)
def test_a_certificate_is_refused_for_the_reason_that_its_case_names(
    web: HostileWeb, name: str, why: str
) -> None:
    shake_hands(web, "good-https")

    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        shake_hands(web, name)
