"""The client and DNS: how often hosts are looked up, and which of their addresses are reached."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from downloads import content, failure, fetch
from faulty_web import Reply, Web, serve
from local_ports import free_port
from name_server import SERVFAIL, NameReply, NameServer, addresses, name_server

from openalign.errors import StageError
from openalign.ingest.web.config import DnsConfig, WebConfig
from openalign.ingest.web.outages import Lookup, Machine

HOST = "named.example"
NO_ADDRESS = ("dns_failure", "the host has no address")


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({f"/{n}": Reply(body=b"x") for n in range(20)}) as running:
        running.routes["/robots.txt"] = Reply(status=404)
        yield running


@pytest.fixture
def names() -> Iterator[NameServer]:
    with name_server() as running:
        yield running


def config(web: Web, names: NameServer, **changes: Any) -> WebConfig:
    settings: dict[str, Any] = {
        "connect_to": {},
        "allowed_networks": ("127.0.0.1/32",),
        "dns": names.settings(),
    }
    return web.download(**(settings | changes))


def urls_of(web: Web, host: str, num_paths: int = 20) -> list[str]:
    port = web.address.rpartition(":")[2]
    return [f"http://{host}:{port}/{n}" for n in range(num_paths)]


def listener_beside(web: Web) -> socket.socket:
    """Return a socket that listens at the web's port of an address that may not be reached."""
    listener = socket.create_server(("127.0.0.2", int(web.address.rpartition(":")[2])))
    listener.setblocking(False)
    return listener


def is_connected(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def num_asked(names: NameServer, host: str) -> int:
    """Return how often a host was looked up; each time it may have been asked for both families."""
    return names.asked[host, "A"]


def test_a_host_is_looked_up_once_for_all_of_its_addresses(web: Web, names: NameServer) -> None:
    names.knows(HOST, "127.0.0.1")
    urls = urls_of(web, HOST)

    assert {content(outcome) for outcome in fetch(config(web, names), urls).values()} == {b"x"}
    assert num_asked(names, HOST) == 1


@pytest.mark.parametrize("respect_robots", [True, False])
@pytest.mark.parametrize("answer", [None, NameReply()], ids=["no such name", "no address"])
def test_a_host_that_dns_denies_is_looked_up_once(
    web: Web, names: NameServer, answer: NameReply | None, *, respect_robots: bool
) -> None:
    if answer is not None:
        names.names |= {(HOST, "A"): answer, (HOST, "AAAA"): answer}
    urls = urls_of(web, HOST)

    outcomes = fetch(config(web, names, respect_robots=respect_robots, num_retries=2), urls)

    assert {failure(outcome) for outcome in outcomes.values()} == {NO_ADDRESS}
    assert num_asked(names, HOST) == 1


def test_a_name_server_that_fails_is_asked_again(web: Web, names: NameServer) -> None:
    broken = NameReply(code=SERVFAIL)
    names.names[HOST, "A"] = [broken, broken, addresses(HOST, "127.0.0.1")]
    urls = urls_of(web, HOST, 1)

    outcome = fetch(config(web, names, num_retries=2), urls)[urls[0]]

    assert content(outcome) == b"x"
    assert num_asked(names, HOST) == 3


def test_a_host_that_no_name_server_tells_of_is_given_up_after_its_attempts(
    web: Web, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "look_up", lambda *_: Lookup.KNOWN)
    names.names[HOST, "A"] = NameReply(code=SERVFAIL)
    urls = urls_of(web, HOST, 1)

    outcome = fetch(config(web, names, num_retries=2, respect_robots=False), urls)[urls[0]]

    assert failure(outcome) == NO_ADDRESS
    assert num_asked(names, HOST) == 3


def test_a_look_up_that_takes_too_long_can_heal(web: Web, names: NameServer) -> None:
    names.names[HOST, "A"] = [NameReply(after_seconds=1.0), addresses(HOST, "127.0.0.1")]
    names.knows("example.com", "192.0.2.80")
    urls = urls_of(web, HOST, 1)

    outcome = fetch(config(web, names, num_retries=2, connect_seconds=0.2), urls)[urls[0]]

    assert content(outcome) == b"x"


def test_a_slow_name_server_takes_no_connection_from_other_hosts(
    web: Web, names: NameServer
) -> None:
    slow = [f"slow{n}.example" for n in range(2)]
    for host in slow:
        names.knows(host, "127.0.0.1", after_seconds=0.5)
    names.knows(HOST, "127.0.0.1")
    urls = [*(url for host in slow for url in urls_of(web, host, 1)), *urls_of(web, HOST, 5)]

    ended = list(
        fetch(config(web, names, connections=3, respect_robots=False, num_retries=0), urls)
    )

    assert sorted(ended[:5]) == sorted(urls[2:])


def test_names_that_are_found_at_once_do_not_exceed_the_connections(
    web: Web, names: NameServer
) -> None:
    hosts = [f"h{n}.example" for n in range(6)]
    for host in hosts:
        names.knows(host, "127.0.0.1", after_seconds=0.1)
    web.routes["/0"] = Reply(body=b"x", before_seconds=0.05)
    urls = [url for host in hosts for url in urls_of(web, host, 1)]

    outcomes = fetch(config(web, names, connections=2, respect_robots=False), urls)

    assert {content(outcome) for outcome in outcomes.values()} == {b"x"}
    assert web.most_at_once == 2


# Which addresses are reached ----------------------------------------------------------------------


def test_a_private_address_beside_a_public_one_is_never_connected_to(
    web: Web, names: NameServer
) -> None:
    names.knows(HOST, "127.0.0.2", "127.0.0.1", "10.0.0.1")
    urls = urls_of(web, HOST)
    with listener_beside(web) as inner:
        outcomes = fetch(config(web, names), urls)
        was_connected = is_connected(inner)

    assert {content(outcome) for outcome in outcomes.values()} == {b"x"}
    assert not was_connected


@pytest.mark.parametrize(
    "address", ["127.0.0.2", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
def test_a_name_that_leads_to_a_private_address_is_refused(
    web: Web, names: NameServer, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(Machine, "has_route", lambda *_: True)
    names.knows(HOST, address)
    urls = urls_of(web, HOST, 1)

    outcome = fetch(config(web, names, respect_robots=False), urls)[urls[0]]

    assert failure(outcome) == ("private_address", f"{address} is not a public address")


def test_a_name_that_turns_to_a_private_address_is_refused(web: Web, names: NameServer) -> None:
    names.names[HOST, "A"] = [
        addresses(HOST, "127.0.0.1", ttl=0),
        addresses(HOST, "127.0.0.2", ttl=0),
    ]
    for number in range(2):
        web.routes[f"/{number}"] = Reply(body=b"x", headers=[("Connection", "close")])
    urls = urls_of(web, HOST, 2)

    with listener_beside(web) as inner:
        outcomes = fetch(
            config(
                web,
                names,
                connections_per_host=1,
                respect_robots=False,
                dns=names.settings(min_ttl_seconds=0.0),
            ),
            urls,
        )
        was_connected = is_connected(inner)

    assert content(outcomes[urls[0]]) == b"x"
    refused = ("private_address", "127.0.0.2 is not a public address")
    assert failure(outcomes[urls[1]]) == refused
    assert not was_connected


def test_a_name_that_turns_within_its_shortest_ttl_stays_where_it_was(
    web: Web, names: NameServer
) -> None:
    names.names[HOST, "A"] = [
        addresses(HOST, "127.0.0.1", ttl=0),
        addresses(HOST, "127.0.0.2", ttl=0),
    ]
    urls = urls_of(web, HOST)

    outcomes = fetch(config(web, names), urls)

    assert {content(outcome) for outcome in outcomes.values()} == {b"x"}


def test_a_redirect_to_another_host_is_looked_up_and_judged(web: Web, names: NameServer) -> None:
    names.knows(HOST, "127.0.0.1")
    names.knows("inner.example", "127.0.0.2")
    (target,) = urls_of(web, "inner.example", 1)
    (nowhere,) = urls_of(web, "nowhere.example", 1)
    web.routes["/0"] = Reply(status=302, headers=[("Location", target)])
    web.routes["/1"] = Reply(status=302, headers=[("Location", nowhere)])
    urls = urls_of(web, HOST, 2)

    outcomes = fetch(config(web, names), urls)

    assert failure(outcomes[urls[0]])[0] == "private_address"
    assert failure(outcomes[urls[1]]) == NO_ADDRESS
    assert (num_asked(names, "inner.example"), num_asked(names, "nowhere.example")) == (1, 1)


# What needs no query ------------------------------------------------------------------------------


def test_addresses_and_localhost_need_no_query(web: Web, names: NameServer) -> None:
    hosts = ("127.0.0.1", "localhost", "a.localhost")
    urls = [url for host in hosts for url in urls_of(web, host, 1)]

    outcomes = fetch(config(web, names), urls)

    assert {content(outcome) for outcome in outcomes.values()} == {b"x"}
    assert not names.asked


def test_an_ipv6_address_is_judged_as_it_is_written(web: Web, names: NameServer) -> None:
    urls = urls_of(web, "[::1]", 1)

    outcome = fetch(config(web, names, respect_robots=False), urls)[urls[0]]

    assert failure(outcome) == ("private_address", "::1 is not a public address")
    assert not names.asked


def test_behind_a_proxy_no_host_is_looked_up(web: Web, names: NameServer) -> None:
    far = "http://far.example/x"
    web.routes[far] = Reply(body=b"far")
    behind = config(web, names, proxy=f"http://{web.address}", respect_robots=False)

    assert content(fetch(behind, [far])[far]) == b"far"
    assert not names.asked


@pytest.mark.parametrize("host", ["named.example.", "xn--bcher-kva.example", "under_score.example"])
def test_hosts_of_every_form_are_looked_up(web: Web, names: NameServer, host: str) -> None:
    names.knows(host.rstrip("."), "127.0.0.1")
    urls = urls_of(web, host, 1)

    assert content(fetch(config(web, names), urls)[urls[0]]) == b"x"


def test_a_name_server_that_is_gone_is_no_failure_of_a_host(web: Web, names: NameServer) -> None:
    gone = DnsConfig(servers=(f"127.0.0.1:{free_port()}",))
    urls = urls_of(web, HOST, 1)

    with pytest.raises(StageError, match=f"DNS is out: none of {HOST}, example.com"):
        fetch(config(web, names, dns=gone, num_retries=0), urls)
