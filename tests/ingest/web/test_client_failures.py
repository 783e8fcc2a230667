"""The fetcher against servers that fail: what is tried again, and what each failure is called."""

import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pycurl
import pytest
from downloads import OTHER, content, failure, fetch, fetch_one
from faulty_web import HOST, SITE, Reply, Web, serve
from local_ports import free_port

from openalign.files.states import FetchState
from openalign.ingest.web.answers import Refusal
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import Failure, Response
from openalign.ingest.web.transfers.certificates import Trust
from openalign.ingest.web.transfers.reactor import process_share
from openalign.ingest.web.transfers.transfer import HeldBytes, Transfer


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


def idle_transfer(**changes: Any) -> Transfer:
    return Transfer(
        WebConfig(**changes),
        share=process_share(),
        agent="test",
        accept="*/*",
        trust=Trust(),
        held=HeldBytes(),
    )


# Statuses, retries --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "num_asked"),
    [
        pytest.param(400, "http_client_error", 1, id="400"),
        pytest.param(403, "http_client_error", 1, id="403"),
        pytest.param(404, "http_gone", 1, id="404"),
        pytest.param(410, "http_gone", 1, id="410"),
        pytest.param(101, "http_unexpected", 1, id="101"),
        pytest.param(300, "http_unexpected", 1, id="300"),
        pytest.param(304, "http_unexpected", 1, id="304"),
        pytest.param(305, "http_unexpected", 1, id="305"),
        pytest.param(600, "http_unexpected", 1, id="600"),
        pytest.param(999, "http_unexpected", 1, id="999"),
        pytest.param(407, "http_client_error", 1, id="407"),
        pytest.param(408, "http_server_error", 3, id="408"),
        pytest.param(425, "http_server_error", 3, id="425"),
        pytest.param(429, "http_server_error", 3, id="429"),
        pytest.param(500, "http_server_error", 3, id="500"),
        pytest.param(503, "http_server_error", 3, id="503"),
        pytest.param(599, "http_server_error", 3, id="599"),
    ],
)
def test_only_a_status_that_can_heal_is_tried_again(
    web: Web, status: int, state: str, num_asked: int
) -> None:
    web.routes["/bad"] = Reply(status=status, body=b"" if status == 304 else b"sorry")

    outcome = fetch_one(web, "/bad", num_retries=2)

    assert failure(outcome) == (state, f"HTTP {status}")
    assert web.asked["/bad"] == num_asked


def test_what_heals_is_fetched(web: Web) -> None:
    web.routes["/ill"] = [
        Reply(status=500),
        Reply(hang_up=True),
        Reply(body=b"half", length=8),
        Reply(body=b"well"),
    ]

    assert content(fetch_one(web, "/ill", num_retries=3)) == b"well"
    assert web.asked["/ill"] == 4


def test_the_pause_before_a_retry_doubles(web: Web) -> None:
    web.routes["/ill"] = Reply(status=500)

    fetch_one(web, "/ill", num_retries=2, retry_seconds=0.2)

    first, second, third = web.times["/ill"]
    assert second - first >= 0.2
    assert third - second >= 0.4


def test_retry_after_is_kept(web: Web) -> None:
    web.routes["/busy"] = [
        Reply(status=503, headers=[("Retry-After", "1")]),
        Reply(body=b"now"),
    ]

    assert content(fetch_one(web, "/busy")) == b"now"
    first, second = web.times["/busy"]
    assert second - first >= 1.0


# What breaks --------------------------------------------------------------------------------------


def test_a_body_that_ends_early_is_truncated(web: Web) -> None:
    web.routes["/cut"] = Reply(body=b"half", length=8)

    outcome = fetch_one(web, "/cut")

    assert failure(outcome) == ("truncated", "the body ended early")
    assert isinstance(outcome, Failure)
    assert outcome.body == b""
    assert web.asked["/cut"] == 3


def test_a_server_that_hangs_up_is_a_connect_failure(web: Web) -> None:
    web.routes["/gone"] = Reply(hang_up=True)

    assert failure(fetch_one(web, "/gone")) == ("connect_failure", "the server sent nothing")


def test_a_port_where_nobody_listens_is_a_connect_failure(web: Web) -> None:
    url = f"http://127.0.0.1:{free_port()}/x"

    outcome = fetch(web.download(num_retries=0), [url])[url]

    assert failure(outcome) == ("connect_failure", "robots.txt: no connection")


def test_a_name_without_an_address_is_a_dns_failure(web: Web) -> None:
    url = "http://no-such-host.invalid/x"

    outcome = fetch(web.download(respect_robots=False), [url])[url]

    assert failure(outcome) == ("dns_failure", "the host has no address")


def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    # libcurl's one error for a resolver out of order and for a name that nobody has.
    transfer = idle_transfer()

    ended = transfer.failed(pycurl.E_COULDNT_RESOLVE_HOST)
    transfer.close()

    assert ended.refusal == Refusal(state=FetchState.DNS_FAILURE, detail="the host has no address")
    assert ended.can_heal


def test_a_host_whose_name_does_not_resolve_is_given_up(web: Web) -> None:
    urls = [f"http://no-such-host.invalid/{n}" for n in range(9)]
    config = web.download(
        respect_robots=False, num_retries=0, host_failures=2, connections_per_host=1
    )

    states = Counter(failure(outcome)[0] for outcome in fetch(config, urls).values())

    assert states == {"dns_failure": 9}


@pytest.mark.parametrize("status", [0, 1000], ids=["one digit", "four digits"])
def test_an_answer_whose_status_is_none_is_a_connect_failure(web: Web, status: int) -> None:
    web.routes["/odd"] = Reply(status=status, body=b"x")

    assert failure(fetch_one(web, "/odd", respect_robots=False)) == (
        "connect_failure",
        "the answer is not HTTP",
    )
    assert web.asked["/odd"] == 1


def test_an_answer_that_was_not_understood_is_a_connect_failure() -> None:
    transfer = idle_transfer()

    ended = transfer.succeeded()
    transfer.close()

    assert (ended.head, ended.can_heal) == (None, False)
    assert ended.refusal == Refusal(
        state=FetchState.CONNECT_FAILURE, detail="the answer is not HTTP"
    )


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(f"X-{n}", "v" * 1000) for n in range(400)], id="many lines"),
        pytest.param([("X-Long", "v" * 200_000)], id="a long line"),
    ],
)
def test_a_header_has_a_largest_size(web: Web, headers: list[tuple[str, str]]) -> None:
    web.routes["/long"] = Reply(body=b"x", headers=headers)
    web.routes["/full"] = Reply(body=b"x", headers=[(f"X-{n}", "v" * 1000) for n in range(200)])

    assert failure(fetch_one(web, "/long")) == ("header_too_large", "its header is too long")
    assert web.asked["/long"] == 1
    assert content(fetch_one(web, "/full")) == b"x"


@pytest.mark.parametrize(
    "lines",
    [pytest.param(b"", id="bytes"), pytest.param(b"Link: </x>\r\n", id="lines")],
)
def test_interim_answers_without_end_are_a_header_too_large(web: Web, lines: bytes) -> None:
    web.routes["/early"] = Reply(raw=b"", endless=b"HTTP/1.1 103 Early\r\n" + lines + b"\r\n")

    outcome = fetch_one(web, "/early")

    assert failure(outcome) == ("header_too_large", "its header is too long")


def test_a_host_that_hangs_up_behind_an_interim_answer_is_asked_again(web: Web) -> None:
    web.routes["/early"] = [Reply(raw=b"HTTP/1.1 103 Early\r\n\r\n"), Reply(body=b"well")]

    assert content(fetch_one(web, "/early")) == b"well"
    assert web.asked["/early"] == 2


@pytest.mark.parametrize(
    "header",
    [b"HTTP/1.1 200 OK\r\nContent-Type: image", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"],
    ids=["within a line", "behind a line"],
)
def test_a_host_that_hangs_up_within_its_header_is_asked_again(web: Web, header: bytes) -> None:
    web.routes["/cut"] = [Reply(raw=header), Reply(body=b"well")]

    assert content(fetch_one(web, "/cut")) == b"well"

    web.routes["/never"] = Reply(raw=header)
    assert failure(fetch_one(web, "/never")) == ("truncated", "the header ended early")
    assert web.asked["/never"] == 3


def test_a_redirect_whose_header_is_cut_off_leads_nowhere_else(web: Web) -> None:
    web.routes["/half"] = Reply(raw=b"HTTP/1.1 302 Found\r\nLocation: /x-and-mo")

    assert failure(fetch_one(web, "/half")) == ("truncated", "the header ended early")


@pytest.mark.parametrize(
    "line", [b"nonsense", b"Content-Length: ", b"Content-Length: 4 bytes", b"X: a\0b"]
)
def test_a_broken_header_is_called_so(web: Web, line: bytes) -> None:
    web.routes["/odd"] = Reply(raw=b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\nbody")

    assert failure(fetch_one(web, "/odd")) == ("connect_failure", "its header is broken")


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"rot13"])
def test_a_transfer_encoding_that_is_not_known_is_called_so(web: Web, coding: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding
    web.routes["/odd"] = Reply(raw=head + b"\r\n\r\n1\r\nx\r\n0\r\n\r\n")

    outcome = fetch_one(web, "/odd")

    assert failure(outcome) == ("connect_failure", "its transfer encoding is not known")


@pytest.mark.parametrize("line", [b"http/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0\t200\tOK"])
def test_a_status_line_may_be_written_oddly(web: Web, line: bytes) -> None:
    web.routes["/odd"] = Reply(raw=line + b"\r\nContent-Length: 4\r\n\r\nwell")

    assert content(fetch_one(web, "/odd")) == b"well"


def test_a_body_behind_a_bad_status_line_is_no_answer(web: Web) -> None:
    web.routes["/odd"] = Reply(raw=b"HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nbody")

    assert failure(fetch_one(web, "/odd")) == ("connect_failure", "the answer is not HTTP")


@pytest.mark.parametrize(
    ("tried", "ending"),
    [
        pytest.param("127.0.0.1", ("tls_failure", "TLS could not be set up"), id="another"),
        pytest.param(None, ("private_address", "::1 is not a public address"), id="no other"),
    ],
)
def test_an_address_that_is_refused_hides_no_error_of_another(
    tried: str | None, ending: tuple[str, str]
) -> None:
    transfer = idle_transfer(allowed_networks=("127.0.0.0/8",))
    for address in (tried, "::1"):
        family = socket.AF_INET6 if address == "::1" else socket.AF_INET
        if address is not None:
            transfer.sockets.open(0, (family, socket.SOCK_STREAM, 0, (address, 443)))

    ended = transfer.failed(pycurl.E_SSL_CONNECT_ERROR)
    transfer.close()

    assert ended.refusal is not None
    assert (ended.refusal.state.value, ended.refusal.detail) == ending


def test_a_server_without_tls_is_a_tls_failure(web: Web) -> None:
    url = f"https://{HOST}/x"

    outcome = fetch(web.download(respect_robots=False), [url])[url]

    assert failure(outcome) == ("tls_failure", "TLS could not be set up")


def test_no_first_byte_in_time_is_a_timeout(web: Web) -> None:
    web.routes["/late"] = Reply(body=b"late", before_seconds=3)

    outcome = fetch_one(web, "/late", first_byte_seconds=0.3, num_retries=0)

    assert failure(outcome) == ("timeout", "no first byte")


def test_a_tarpit_is_left_after_the_whole_time(web: Web) -> None:
    web.routes["/tar"] = Reply(body=b"slowly", a_byte_a_second=True)

    outcome = fetch_one(web, "/tar", total_seconds=0.5, num_retries=0)

    assert failure(outcome) == ("timeout", "too slow")


def test_a_tarpit_is_left_for_its_slowness(web: Web) -> None:
    web.routes["/tar"] = Reply(body=b"slowly, slowly", a_byte_a_second=True)

    outcome = fetch_one(web, "/tar", slow_seconds=1, min_bytes_per_second=100, num_retries=0)

    assert failure(outcome) == ("timeout", "too slow")


def test_a_host_that_thinks_for_long_is_waited_for(web: Web) -> None:
    web.routes["/late"] = Reply(body=b"thought", before_seconds=2.5)

    outcome = fetch_one(web, "/late", slow_seconds=1, num_retries=0)

    assert content(outcome) == b"thought"


def test_an_answer_is_left_that_was_quick_before_it_stopped(web: Web) -> None:
    start = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 20_000
    web.routes["/stall"] = Reply(raw=start, then_silent=True)

    outcome = fetch_one(web, "/stall", slow_seconds=1, num_retries=0)

    assert failure(outcome) == ("timeout", "too slow")


def test_a_status_that_refuses_counts_although_its_body_never_ends(web: Web) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"
    web.routes["/gone"] = Reply(raw=head, then_silent=True)

    outcome = fetch_one(web, "/gone", slow_seconds=1)

    assert failure(outcome) == ("http_gone", "HTTP 404")
    assert web.asked["/gone"] == 1


def test_a_socket_that_never_speaks_does_not_hold_up_the_others(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        connect_to = {HOST: web.address, "other.example": address}
        config = web.download(connect_to=connect_to, first_byte_seconds=0.3, num_retries=1)
        outcomes = fetch(config, [f"{SITE}/x", *(f"{OTHER}/{n}" for n in range(30))])

    assert content(outcomes[f"{SITE}/x"]) == b"x"
    others = {failure(outcomes[f"{OTHER}/{n}"]) for n in range(30)}
    assert others == {("timeout", "robots.txt: no first byte")}


def test_a_host_that_stopped_answering_is_given_up(web: Web) -> None:
    web.routes |= {f"/{n}": Reply(hang_up=True) for n in range(30)}
    urls = [f"{SITE}/{n}" for n in range(30)]

    outcomes = fetch(web.download(num_retries=0, host_failures=5, connections_per_host=1), urls)

    details = [failure(outcomes[url])[1] for url in urls]
    assert details.count("the server sent nothing") == 5
    assert details.count("the host did not answer many requests before") == 25


def test_a_host_that_answers_now_and_then_is_not_given_up(web: Web) -> None:
    for number in range(30):
        web.routes[f"/{number}"] = Reply(hang_up=True) if number % 2 else Reply(body=b"y")
    urls = [f"{SITE}/{n}" for n in range(30)]

    outcomes = fetch(web.download(num_retries=0, host_failures=2, connections_per_host=1), urls)

    assert sum(isinstance(outcome, Response) for outcome in outcomes.values()) == 15
