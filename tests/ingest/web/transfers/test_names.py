"""Names: how long addresses are kept, how often is asked, and what an answer means."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from name_server import NXDOMAIN, REFUSED, SERVFAIL, NameReply, NameServer, addresses, name_server
from patience import PATIENCE_SECONDS

from openalign.ingest.web.transfers.names import Names
from openalign.ingest.web.transfers.reactor import Reactor
from openalign.ingest.web.transfers.resolver import NameAnswer, Resolver

NAME = "pictures.example"


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server() as running:
        yield running


class Asking:
    """Names on a reactor, whose clock a test can put forward."""

    def __init__(self, server: NameServer, *, with_ipv6: bool = False, **changes: Any) -> None:
        seconds = changes.pop("seconds", PATIENCE_SECONDS)
        self.reactor = Reactor(max_connections=1)
        self.names: Names[str] = Names(
            server.settings(**changes), self.reactor, seconds=seconds, with_ipv6=with_ipv6
        )
        self.ahead_seconds = 0.0

    @property
    def now(self) -> float:
        return time.monotonic() + self.ahead_seconds

    def answers(self, *names: str) -> dict[str, NameAnswer]:
        """Let an item wait for each name; return what it is told."""
        for name in names:
            self.names.wait_for(name, name)
        told: dict[str, NameAnswer] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(told) < len(names):
            told.update(self.names.turn(self.now))
            assert time.monotonic() < deadline
            if len(told) < len(names):
                wait = self.names.wait_seconds(self.now)
                assert wait is not None
                self.reactor.turn(wait)
        assert self.names.num_waiting == 0
        return told

    def close(self) -> None:
        self.names.close()
        self.reactor.close()

    def answer(self, name: str = NAME) -> NameAnswer:
        return self.answers(name)[name]

    def kept(self) -> list[str]:
        return list(self.names.find(NAME, self.now))


@pytest.fixture
def ask(server: NameServer) -> Iterator[Callable[..., Asking]]:
    """Makes names that ask the server, and closes them at the end."""
    made: list[Asking] = []

    def make(**changes: Any) -> Asking:
        made.append(Asking(server, **changes))
        return made[-1]

    yield make
    for asking in made:
        asking.close()


# What an answer means -----------------------------------------------------------------------------


def test_addresses_of_both_families_are_found_ipv6_first(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    server.knows(NAME, "192.0.2.1", "192.0.2.2", "2001:db8::1")

    found = ask(with_ipv6=True).answer()

    assert found.addresses == ("2001:db8::1", "192.0.2.1", "192.0.2.2")
    assert server.asked == {(NAME, "A"): 1, (NAME, "AAAA"): 1}


def test_a_machine_without_ipv6_asks_for_no_such_address(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    server.knows(NAME, "192.0.2.1", "2001:db8::1")

    assert ask().answer().addresses == ("192.0.2.1",)
    assert server.asked == {(NAME, "A"): 1}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param((NXDOMAIN, NXDOMAIN), (0, True), id="no such name"),
        pytest.param((0, 0), (0, True), id="no address"),
        pytest.param((SERVFAIL, 0), (0, False), id="one family unknown"),
        pytest.param((0, SERVFAIL), (0, False), id="the other family unknown"),
        pytest.param((REFUSED, REFUSED), (0, False), id="refused"),
        pytest.param((None, SERVFAIL), (1, True), id="an address, and one family unknown"),
        pytest.param((None, NXDOMAIN), (1, True), id="an address, and a lie"),
    ],
)
@pytest.mark.parametrize("late", ["A", "AAAA"])
def test_only_an_answer_for_both_families_makes_it_certain_that_there_is_no_address(
    server: NameServer,
    ask: Callable[..., Asking],
    codes: tuple[int | None, int],
    expected: tuple[int, bool],
    late: str,
) -> None:
    for kind, code in zip(("A", "AAAA"), codes, strict=True):
        after = 0.1 if kind == late else 0.0
        server.names[NAME, kind] = (
            addresses(NAME, "192.0.2.1", after_seconds=after)
            if code is None
            else NameReply(code=code, after_seconds=after)
        )

    found = ask(with_ipv6=True).answer()

    assert (len(found.addresses), found.is_certain) == expected
    assert server.asked == {(NAME, "A"): 1, (NAME, "AAAA"): 1}


def test_aliases_are_followed_and_the_shortest_ttl_counts(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    chain = [(NAME, "CNAME", "a.cdn.example"), ("a.cdn.example", "CNAME", "b.cdn.example")]
    server.names[NAME, "A"] = NameReply(
        records=[*chain, ("b.cdn.example", "A", "192.0.2.1")], ttl=90
    )

    assert ask().answer() == NameAnswer(addresses=("192.0.2.1",), ttl_seconds=90)


def test_an_alias_of_nothing_has_no_address(server: NameServer, ask: Callable[..., Asking]) -> None:
    server.names[NAME, "A"] = NameReply(records=[(NAME, "CNAME", "a.cdn.example")])

    assert ask().answer() == NameAnswer(is_certain=True)


def test_an_answer_too_long_for_a_datagram_comes_by_tcp(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    many = [f"192.0.2.{n}" for n in range(200)]
    server.knows(NAME, *many)

    assert ask().answer().addresses == tuple(many)
    assert server.num_by_tcp == 1


@pytest.mark.parametrize("name", ["a..example", f"{'x' * 64}.example", f"{'x.' * 130}example"])
def test_a_name_that_dns_cannot_have_has_no_address(
    server: NameServer, ask: Callable[..., Asking], name: str
) -> None:
    assert ask(with_ipv6=True).answer(name) == NameAnswer(is_certain=True)
    assert not server.asked


@pytest.mark.parametrize("name", ["no-such-host.invalid", "no-such-host.invalid.", "a.onion"])
def test_no_name_server_is_asked_for_what_is_never_in_dns(
    server: NameServer, ask: Callable[..., Asking], name: str
) -> None:
    assert ask().answer(name) == NameAnswer(is_certain=True)
    assert not server.asked


@pytest.mark.parametrize("name", ["localhost", "a.localhost"])
def test_this_machine_knows_its_own_name(
    server: NameServer, ask: Callable[..., Asking], name: str
) -> None:
    assert "127.0.0.1" in ask().answer(name).addresses
    assert not server.asked


def test_a_query_that_is_lost_is_sent_again(server: NameServer, ask: Callable[..., Asking]) -> None:
    server.names[NAME, "A"] = [NameReply(is_lost=True), addresses(NAME, "192.0.2.1")]

    assert ask().answer().addresses == ("192.0.2.1",)
    assert server.asked == {(NAME, "A"): 2}


def test_a_look_up_that_takes_too_long_is_given_up_and_what_it_finds_is_kept(
    server: NameServer,
    ask: Callable[..., Asking],
) -> None:
    server.knows(NAME, "192.0.2.1", after_seconds=0.2)
    asking = ask(seconds=0.05)

    assert asking.answer() == NameAnswer(is_certain=False)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not asking.kept() and time.monotonic() < deadline:
        asking.reactor.turn(0.01)
        asking.names.turn(asking.now)
    assert asking.kept() == ["192.0.2.1"]


# How long addresses are kept ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        pytest.param(300, 300, id="its TTL"),
        pytest.param(0, 60, id="a short TTL"),
        pytest.param(86_400, 3600, id="a long TTL"),
    ],
)
def test_addresses_are_kept_for_their_ttl_within_bounds(
    server: NameServer, ask: Callable[..., Asking], ttl: int, seconds: float
) -> None:
    server.knows(NAME, "192.0.2.1", ttl=ttl)
    asking = ask(min_ttl_seconds=60.0, max_ttl_seconds=3600.0)

    asking.answer()

    asking.ahead_seconds = seconds - 30.0
    assert asking.kept() == ["192.0.2.1"]
    asking.ahead_seconds = seconds
    assert asking.kept() == []


def test_a_name_that_has_expired_is_asked_for_again(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    server.names[NAME, "A"] = [addresses(NAME, f"192.0.2.{n}", ttl=86_400) for n in (1, 2)]
    asking = ask(max_ttl_seconds=60.0)

    assert asking.answer().addresses == ("192.0.2.1",)
    asking.ahead_seconds = 60.0
    assert asking.answer().addresses == ("192.0.2.2",)


def test_no_more_names_are_kept_than_the_settings_say(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    hosts = [f"h{n}.example" for n in range(4)]
    for host in hosts:
        server.knows(host, "192.0.2.1")
    asking = ask(max_names=3)

    for host in hosts:
        asking.answer(host)

    assert kept_of(asking, hosts) == [False, True, True, True]


def test_a_name_that_is_looked_up_again_is_not_dropped_first(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    hosts = [f"h{n}.example" for n in range(3)]
    for host in hosts:
        server.knows(host, "192.0.2.1")
    asking = ask(max_names=2)

    for number in (0, 1, 0, 2):
        asking.answer(hosts[number])

    assert kept_of(asking, hosts) == [True, False, True]


def kept_of(asking: Asking, hosts: Sequence[str]) -> list[bool]:
    return [bool(asking.names.find(host, asking.now)) for host in hosts]


def num_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


# How often is asked -------------------------------------------------------------------------------


def test_items_that_wait_for_one_name_share_a_look_up(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    server.knows(NAME, "192.0.2.1", after_seconds=0.05)
    asking = ask()
    for number in range(9):
        asking.names.wait_for(NAME, str(number))

    told: list[tuple[str, NameAnswer]] = []
    while len(told) < 9:
        told += asking.names.turn(asking.now)
        asking.reactor.turn(0.01)

    assert sorted(item for item, _ in told) == [str(number) for number in range(9)]
    assert server.asked == {(NAME, "A"): 1}


@pytest.mark.parametrize("with_ipv6", [False, True], ids=["a query a name", "two"])
def test_queries_under_way_are_limited(
    server: NameServer, ask: Callable[..., Asking], *, with_ipv6: bool
) -> None:
    hosts = [f"h{n}.example" for n in range(30)]
    for host in hosts:
        server.knows(host, "192.0.2.1", after_seconds=0.02)

    found = ask(with_ipv6=with_ipv6, queries=5).answers(*hosts)

    assert {answer.addresses for answer in found.values()} == {("192.0.2.1",)}
    assert 2 <= server.most_at_once <= 5


def test_queries_have_a_rate(server: NameServer, ask: Callable[..., Asking]) -> None:
    hosts = [f"h{n}.example" for n in range(21)]
    started = time.monotonic()

    ask(queries_per_second=100.0).answers(*hosts)

    # 21 queries are 20 pauses of 10 ms, of which 50 ms may be caught up on.
    assert time.monotonic() - started >= 0.15


def test_many_names_need_few_descriptors(server: NameServer, ask: Callable[..., Asking]) -> None:
    hosts = [f"h{n}.example" for n in range(300)]
    for host in hosts:
        server.knows(host, "192.0.2.1", after_seconds=0.02)
    asking = ask()
    for host in hosts:
        asking.names.wait_for(host, host)
    num_before = num_descriptors()

    num_most, num_told = 0, 0
    while num_told < len(hosts):
        num_told += len(asking.names.turn(asking.now))
        num_most = max(num_most, num_descriptors() - num_before)
        asking.reactor.turn(0.01)

    assert num_most <= 2


def test_items_are_forgotten_and_their_look_ups_are_not(
    server: NameServer, ask: Callable[..., Asking]
) -> None:
    server.knows(NAME, "192.0.2.1", after_seconds=0.1)
    asking = ask()
    asking.names.wait_for(NAME, "first")
    assert asking.names.turn(asking.now) == []

    asking.names.abandon()

    assert asking.answer().addresses == ("192.0.2.1",)
    assert server.asked == {(NAME, "A"): 1}


def test_a_resolver_that_is_closed_watches_nothing(server: NameServer) -> None:
    server.names[NAME, "A"] = NameReply(is_lost=True)
    watched: dict[int, int] = {}

    class Watcher:
        def watch(self, descriptor: int, events: int, handle: Callable[[int, int], None]) -> None:
            del handle
            watched[descriptor] = events

    told: list[NameAnswer] = []
    resolver = Resolver((server.address,), Watcher(), with_ipv6=False)
    resolver.look_up(NAME, told.append)
    assert any(watched.values())

    resolver.close()

    assert not any(watched.values())
    assert not told
