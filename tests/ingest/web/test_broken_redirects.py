"""Redirects that arrive in part: they lead nowhere before their header is whole, and opt-outs hold
whatever becomes of their body."""

from collections.abc import Iterator

import pytest
from downloads import content, failure, fetch_one
from faulty_web import Reply, Web, serve

FOUND = b"HTTP/1.1 302 Found\r\n"
LEADS = FOUND + b"Location: /x\r\n"
BREAKS = [
    pytest.param(b"X: a\0b\r\n", id="a byte of zero"),
    pytest.param(b"Content-Length: abc\r\n", id="a length that is none"),
    pytest.param(b"Content-Length: -1\r\n", id="a length below zero"),
    pytest.param(b"nonsense\r\n", id="a line that is none"),
]


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({"/x": Reply(body=b"x")}) as running:
        yield running


@pytest.mark.parametrize("header", [FOUND + b"X: y\r\n", LEADS], ids=["nowhere yet", "somewhere"])
def test_a_redirect_whose_header_stalls_is_late(web: Web, header: bytes) -> None:
    web.routes["/late"] = [Reply(raw=header, then_silent=True), Reply(body=b"well")]

    assert content(fetch_one(web, "/late", total_seconds=0.5)) == b"well"

    web.routes["/never"] = Reply(raw=header, then_silent=True)
    outcome = fetch_one(web, "/never", total_seconds=0.5, num_retries=0)
    assert failure(outcome)[0] == "timeout"
    assert web.asked["/x"] == 0


@pytest.mark.parametrize("line", BREAKS)
def test_a_redirect_whose_header_breaks_is_not_followed(web: Web, line: bytes) -> None:
    web.routes["/odd"] = Reply(raw=LEADS + line + b"\r\n")

    assert failure(fetch_one(web, "/odd")) == ("connect_failure", "its header is broken")
    assert web.asked["/x"] == 0


@pytest.mark.parametrize("line", BREAKS)
def test_rules_behind_a_broken_redirect_are_not_taken_for_none(web: Web, line: bytes) -> None:
    web.routes["/robots.txt"] = Reply(raw=FOUND + line + b"Location: /rules\r\n\r\n")

    assert failure(fetch_one(web, "/x")) == (
        "connect_failure",
        "robots.txt: its header is broken",
    )
    assert web.asked["/x"] == 0


def test_rules_whose_redirect_stalls_are_not_taken_for_none(web: Web) -> None:
    web.routes["/robots.txt"] = Reply(raw=FOUND + b"X: y\r\n", then_silent=True)

    outcome = fetch_one(web, "/x", total_seconds=0.3, num_retries=0)

    state, detail = failure(outcome)
    assert state == "timeout"
    assert detail.startswith("robots.txt: ")
    assert web.asked["/x"] == 0


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found"])
@pytest.mark.parametrize("opt_out", [b"X-Robots-Tag: noai", b"TDM-Reservation: 1"])
@pytest.mark.parametrize(
    ("behind", "is_silent"),
    [
        pytest.param(b"Content-Length: 10\r\n\r\n", False, id="no body"),
        pytest.param(b"Content-Length: 10\r\n\r\n", True, id="a body that stalls"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", False, id="a chunk that is none"),
        pytest.param(b"Content-Length: 99999999999999\r\n\r\n", False, id="a body too long"),
    ],
)
def test_an_opt_out_holds_whatever_becomes_of_the_body(
    web: Web, status: bytes, opt_out: bytes, behind: bytes, *, is_silent: bool
) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nLocation: /x\r\n" + opt_out + b"\r\n" + behind
    web.routes["/mine"] = Reply(raw=head, then_silent=is_silent)

    outcome = fetch_one(web, "/mine", total_seconds=0.5)

    assert failure(outcome) == ("opted_out", opt_out.decode())
    assert web.asked["/x"] == 0
    assert web.asked["/mine"] == 1


def test_any_header_that_stalls_is_late(web: Web) -> None:
    late = Reply(raw=b"HTTP/1.1 404 Not Found\r\nX: y\r\n", then_silent=True)
    web.routes["/late"] = [late, Reply(body=b"well")]

    assert content(fetch_one(web, "/late", total_seconds=0.5)) == b"well"
